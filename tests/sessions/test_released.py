"""
Nothing of a connection waits for the cyclic garbage collector, however it ends.

The collector is off here, as it nearly is in the command, so what reference cycles hold stays and is counted.
"""

from __future__ import annotations

import gc
import logging
import sys
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from helpers.faulty_stream import FaultyListener
from helpers.raw_peer import BINARY, CONTINUATION, TEXT, Peer, close, connected, frame, joined, request
from helpers.server import Serving, serving

CONNECTION_PACKAGES = {"trioecho", "trio_websocket", "wsproto", "h11"}
"""Where the objects come from that a connection is made of; sockets and trio's tasks are counted too."""

LISTEN = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"

KIB, MIB = 2**10, 2**20


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    """Turn the collector off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    for handler in logging.getLogger().handlers:  # pytest uses them again for other tests
        handler.removeFilter(has_no_traceback)


def has_no_traceback(record: logging.LogRecord) -> bool:
    return not record.exc_info


def keep_no_tracebacks() -> None:
    """Keep pytest's own log book from holding the frames of what failed."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(has_no_traceback)


def alive() -> Counter[str]:
    """Count what there is of the objects that connections are made of."""
    kinds: Counter[str] = Counter()
    for found in gc.get_objects():
        kind = type(found)
        if str(kind.__module__).partition(".")[0] in CONNECTION_PACKAGES or kind.__name__ in (
            "socket",
            "Task",
        ):
            kinds[f"{kind.__module__}.{kind.__qualname__}"] += 1
    return kinds


async def settle() -> None:
    """Let all tasks come to their end."""
    for _ in range(5):
        await trio.testing.wait_all_tasks_blocked()


async def half_a_head(peer: Peer) -> None:
    await peer.send(request()[:40])


async def half_a_frame(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(TEXT, b"x" * 100_000)[:90_000])


async def half_a_message(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(TEXT, b"x" * 90_000, final=False))


async def a_message(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(BINARY, b"x" * 90_000))


async def an_event_stream(peer: Peer) -> None:
    await peer.send(LISTEN)
    await peer.read_until(b": listening\n\n")


STAGES = [half_a_head, half_a_frame, half_a_message, a_message, an_event_stream]

Stage = Callable[[Peer], Awaitable[None]]


async def closed(peer: Peer) -> None:
    await a_message(peer)
    await peer.send(close())
    assert await peer.read_close() == 1000
    await peer.read_to_end()


async def refused_for_its_head(peer: Peer) -> None:
    await peer.send(b"GET / HTTP/1.1\r\nno header\r\n\r\n" + b"x" * 64 * KIB)
    assert (await peer.read_response())[0] == 400


async def refused_for_its_method(peer: Peer) -> None:
    await peer.send(b"PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
    assert (await peer.read_response())[0] == 405


async def refused_for_its_handshake(peer: Peer) -> None:
    await peer.send(request(headers={b"Sec-WebSocket-Key": b"short"}) + b"x" * 60_000)
    assert (await peer.read_response())[0] == 400


async def too_big(peer: Peer) -> None:
    await half_a_message(peer)
    await peer.send(frame(CONTINUATION, b"x" * 90_000))
    assert await peer.read_close() == 1009
    await peer.read_to_end()


async def broke_the_protocol(peer: Peer) -> None:
    await half_a_message(peer)
    await peer.send(frame(0x3) + b"x" * 60_000)
    assert await peer.read_close() == 1002
    await peer.read_to_end()


ENDS = [
    closed,
    refused_for_its_head,
    refused_for_its_method,
    refused_for_its_handshake,
    too_big,
    broke_the_protocol,
]


@asynccontextmanager
async def nothing_left(server: Serving) -> AsyncIterator[None]:
    """Check that what the block leaves of its connections is nothing."""
    await settle()
    before = alive()
    yield
    await settle()
    assert alive() - before == Counter()


async def once(server: Serving, stage: Stage, reset: bool) -> None:
    """Come, do as ``stage`` says, and be gone."""
    async with connected(server.url) as peer:
        await stage(peer)
        peer.vanish(reset=reset)


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stage", STAGES)
async def test_nothing_is_left_of_a_client_that_was_lost(stage: Stage, reset: bool) -> None:
    async with serving(max_message_size=128 * KIB) as server:
        await once(server, stage, reset)  # what is made once stays
        async with nothing_left(server):
            for _ in range(3):
                await once(server, stage, reset)
                await settle()


@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_left_of_a_connection_that_was_ended_with_a_word(end: Stage) -> None:
    async with serving(max_message_size=128 * KIB) as server:
        await once(server, end, False)
        async with nothing_left(server):
            for _ in range(3):
                await once(server, end, False)
                await settle()


async def test_nothing_is_left_of_a_client_for_whom_there_was_no_room() -> None:
    async def be_refused(peer: Peer) -> None:
        await peer.send(request(b"/another") + LISTEN.replace(b" / ", b" /another "))
        assert (await peer.read_response())[0] == 503

    async with serving(max_rooms=1) as server, connected(server.url) as peer:
        await a_message(peer)
        await once(server, be_refused, False)
        async with nothing_left(server):
            for _ in range(3):
                await once(server, be_refused, False)
                await settle()


async def test_clients_that_are_silent_keep_nothing_of_what_was_said() -> None:
    """Neither of what they have sent, nor of what they have got."""
    async with serving(history=0, compress=False) as server, AsyncExitStack() as there:
        senders = [await there.enter_async_context(joined(server.url, b"/%d" % n)) for n in range(8)]
        listener = await there.enter_async_context(connected(server.url))
        await an_event_stream(listener)
        await settle()
        tracemalloc.start()
        try:
            for sender in senders:
                await sender.send(frame(BINARY, bytes(MIB)))
                await settle()
            await server.server.hub.publish("/", MIB * "x")
            await listener.read_until(MIB * b"x" + b"\n\n")
            await settle()
            held, most = tracemalloc.get_traced_memory()
            assert held < MIB < most
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("join", [a_message, an_event_stream])
async def test_nothing_is_left_of_a_client_that_was_too_slow(join: Stage) -> None:
    async def be_slow(server: Serving) -> None:
        async with connected(server.url) as peer:
            peer.take_little()
            await join(peer)
            while not server.find("disconnected", address=peer.address, why="full"):
                await server.server.hub.publish("/", b"x" * 100_000)
            peer.vanish(reset=True)
            await settle()

    async with serving(when_slow="disconnect", max_pending_bytes=MIB, max_message_size=MIB) as server:
        await be_slow(server)
        async with nothing_left(server):
            await be_slow(server)


@pytest.mark.parametrize("fault", ["read_fault", "send_fault"])
async def test_nothing_is_left_of_a_client_that_met_a_bug(fault: str) -> None:
    (listening,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = FaultyListener(listening)

    async def meet_a_bug() -> None:
        async with connected(listener.url) as peer:
            await half_a_message(peer)
            setattr(listener.streams.pop(), fault, True)
            await peer.send(frame(CONTINUATION, b"x" * 10_000))
            await server.server.hub.publish("/", "to be sent")
            await server.event("message", level="error", count=len(server.tracebacks) or 1)
            peer.vanish(reset=True)
            await settle()

    keep_no_tracebacks()
    async with serving(listeners=[listener]) as server:
        await meet_a_bug()
        async with nothing_left(server):
            await meet_a_bug()


@pytest.mark.parametrize("how", ["aborted", "cancelled"])
@pytest.mark.parametrize("stage", STAGES)
async def test_nothing_is_left_of_a_server_that_has_ended(stage: Stage, how: str) -> None:
    async def end() -> None:
        async with serving(max_message_size=128 * KIB, shutdown_timeout=0.1) as server:
            async with connected(server.url) as peer:
                await stage(peer)
                await settle()
                if how == "aborted":
                    await server.server.shutdown()

    await end()
    await settle()
    gc.collect()
    before = alive()
    await end()
    await settle()
    if how == "cancelled" and sys.version_info >= (3, 12):
        # A cancelled accept of trio's leaves an exception in a cycle there: one for each server, not for each
        # of its connections.
        gc.collect()
    left = alive() - before
    assert {name for name in left if not name.startswith("helpers")} == set()


async def test_unfinished_messages_of_those_who_left_are_given_back() -> None:
    async with serving() as server:
        sizes = []
        for _ in range(3):
            async with connected(server.url) as peer:
                await peer.shake_hands(request())
                await peer.send(frame(BINARY, b"x" * MIB, final=False)[:-1])
                peer.vanish(reset=False)
            await settle()
            sizes.append(sum([len(each) for each in gc.get_objects() if isinstance(each, bytearray)]))
            assert server.server.hub.rooms == {}
        assert sizes[-1] == sizes[0]
