"""What a server holds for all its clients together is bounded, and those for whom most is held go first."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing
from helpers.http_client import asking, fetch
from helpers.raw_peer import BINARY, CONTINUATION, PING, TEXT, Peer, close, connected, frame, joined, request
from helpers.server import Serving, serving

import trioecho
from trioecho.rooms.hub import registry_of

KIB, MIB = 2**10, 2**20

UNFINISHED = frame(BINARY, bytes(MIB))[: MIB // 2]
"""Half of a message, in one frame that is not complete."""

FRAGMENTS = frame(BINARY, bytes(MIB // 4), final=False) + frame(CONTINUATION, bytes(MIB // 4), final=False)
"""As much, in fragments."""


def held(server: Serving) -> int:
    return registry_of(server.server.hub).memory.held


async def until_held(server: Serving, least: int) -> None:
    """Wait until so much is held."""
    while held(server) < least:
        await trio.testing.wait_all_tasks_blocked(0.001)


async def until_nothing_is_held(server: Serving, most: int = 0) -> None:
    """Wait until nothing is held any more, or no more than so much."""
    while held(server) > most:
        await trio.testing.wait_all_tasks_blocked(0.001)


@asynccontextmanager
async def honest_pair(server: Serving) -> AsyncIterator[None]:
    """Two clients in a room of their own, who must reach each other afterwards, and have not been cut."""
    async with joined(server.url, b"/honest") as one, joined(server.url, b"/honest") as other:
        yield
        await one.send(frame(TEXT, b"still there?"))
        while (heard := await other.read_frame()) != (TEXT, b"still there?"):
            assert heard == (PING, b"")


async def test_nothing_is_held_for_clients_that_keep_up() -> None:
    async with serving() as server, joined(server.url) as one, joined(server.url) as other:
        for size in (1, KIB, 100 * KIB, MIB):
            await one.send(frame(BINARY, bytes(size)))
            assert len((await other.read_frame())[1]) == size
        assert held(server) == 0


@pytest.mark.parametrize("part", [UNFINISHED, FRAGMENTS], ids=["a frame", "fragments"])
async def test_unfinished_messages_are_held_to_the_bound(part: bytes) -> None:
    limit = 8 * MIB
    async with serving(max_memory=limit) as server, honest_pair(server), AsyncExitStack() as there:
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, held(server))
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            peers = [await there.enter_async_context(joined(server.url)) for _ in range(40)]
            for peer in peers:
                nursery.start_soon(peer.send, part)
            line = await server.event("over-memory")
            gone = server.server.counters.disconnected
            while gone["over-memory"] < 24:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        # Until those who must go are gone, each may be read from a few times.
        assert most <= limit + 3 * 40 * 64 * KIB
        assert line["limit"] == limit < line["held"] and line["left"] <= limit * 7 // 8
        ended = await server.event("disconnected", why="over-memory")
        assert ended["code"] == 1013
        await there.aclose()
        await until_nothing_is_held(server)


async def test_who_is_disconnected_is_told_why() -> None:
    async with serving(max_memory=MIB, max_message_size=MIB) as server, honest_pair(server):
        async with joined(server.url) as one, joined(server.url) as other:
            await other.send(frame(BINARY, bytes(MIB))[: MIB // 4])
            await until_held(server, MIB // 4)
            await one.send(frame(BINARY, bytes(MIB))[: MIB * 7 // 8])
            # The one for whom more is held goes.
            assert await one.read_close() == 1013
            await one.send(close(1013))
            await server.event("disconnected")
            assert server.server.counters.disconnected == {"over-memory": 1}
            assert MIB // 4 <= held(server) < MIB // 2
            await other.send(frame(BINARY, bytes(MIB))[MIB // 4 :])
            await until_nothing_is_held(server)


async def test_of_those_who_do_not_read_the_most_behind_goes_first() -> None:
    async with serving(max_memory=8 * MIB) as server, honest_pair(server), AsyncExitStack() as there:

        async def stuck(room: bytes) -> tuple[Peer, Peer]:
            reader = await there.enter_async_context(joined(server.url, room, stuck=True))
            return reader, await there.enter_async_context(joined(server.url, room))

        _, to_little = await stuck(b"/little")
        much, to_much = await stuck(b"/much")
        for _ in range(6):
            await to_much.send(frame(BINARY, bytes(MIB)))
        await until_held(server, 3 * MIB)
        address = much.address
        for _ in range(3):
            await to_little.send(frame(BINARY, bytes(MIB)))
        others = [await stuck(b"/other%d" % number) for number in range(2)]
        for _, publisher in others:
            for _ in range(3):
                await publisher.send(frame(BINARY, bytes(MIB)))
        ended = await server.event("disconnected", why="over-memory")
        assert ended["address"] == address
        await there.aclose()
        await until_nothing_is_held(server)


async def test_what_many_wait_for_counts_once() -> None:
    async with serving(max_memory=8 * MIB) as server, honest_pair(server), AsyncExitStack() as there:
        for _ in range(20):
            await there.enter_async_context(joined(server.url, stuck=True))
        publisher = await there.enter_async_context(joined(server.url))
        for _ in range(6):
            await publisher.send(frame(BINARY, bytes(MIB // 2)))
        while sum([each.pending_bytes for each in members_of(server)]) < 20 * MIB:
            await trio.testing.wait_all_tasks_blocked(0.001)
        assert held(server) <= 3 * MIB + 64 * KIB
        assert not server.server.counters.disconnected
        await there.aclose()
        await until_nothing_is_held(server)


def members_of(server: Serving):  # type: ignore[no-untyped-def]
    room = registry_of(server.server.hub).room("/")
    assert room is not None
    return room.members.values()


async def test_a_stuck_listener_to_events_is_held_to_it_too() -> None:
    async with serving(max_memory=4 * MIB, max_pending_bytes=8 * MIB) as server, honest_pair(server):
        async with asking(server.url) as listener:
            listener.take_little()
            await listener.send(b"GET /b HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            await listener.read_until(b"listening")
            for _ in range(6):
                await server.server.hub.publish("/b", "x" * MIB)
            await server.event("disconnected", why="over-memory", kind="events")
            await until_nothing_is_held(server)


async def test_an_application_that_does_not_take_its_messages_is_held_to_it_too() -> None:
    async with serving(max_memory=4 * MIB, max_pending_bytes=8 * MIB) as server, honest_pair(server):
        hub = server.server.hub
        async with hub.subscribe("/a") as messages:
            for _ in range(6):
                await hub.publish("/a", bytes(MIB))
            await server.event("over-memory", clients=1)
            with pytest.raises(trioecho.Disconnected, match="over-memory"):
                await anext(messages)
            await until_nothing_is_held(server)


@pytest.mark.parametrize("chunked", [False, True])
async def test_bodies_that_are_not_complete_are_held_to_the_bound(chunked: bool) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    framing = (
        b"Transfer-Encoding: chunked\r\n\r\n100000\r\n" if chunked else b"Content-Length: 1048576\r\n\r\n"
    )
    async with serving(max_memory=2 * MIB) as server, honest_pair(server), AsyncExitStack() as there:
        peers = [await there.enter_async_context(connected(server.url)) for _ in range(8)]
        for peer in peers:
            await peer.send(head + framing + bytes(MIB // 2))
        await server.event("refused", status=503)
        assert server.server.counters.refused["over-memory"] > 0
        await until_nothing_is_held(server, 2 * MIB)
        assert (await fetch(server.url, method="POST", body=b"small")).status == 202
        # Those that are still let in can finish.
        answers = []
        for peer in peers:
            await peer.send(bytes(MIB // 2) + (b"\r\n0\r\n\r\n" if chunked else b""))
            answers.append(await peer.read_until(b"\r\n\r\n"))
        assert {answer[9:12] for answer in answers} == {b"202", b"503"}
        assert all(b"Retry-After: " in answer for answer in answers if answer[9:12] == b"503")
        await there.aclose()
        await until_nothing_is_held(server)


async def test_messages_that_wait_for_their_rate_are_held_to_the_bound() -> None:
    async with serving(max_memory=2 * MIB, rate="1/h:1", ping_interval=0.1) as server, honest_pair(server):
        async with AsyncExitStack() as there:
            for _ in range(6):
                peer = await there.enter_async_context(joined(server.url))
                await peer.send(frame(TEXT, b"first") + frame(BINARY, bytes(MIB // 2)))
            await server.event("over-memory")
            await until_nothing_is_held(server, 2 * MIB)
        await until_nothing_is_held(server)


async def test_publishers_who_wait_for_their_room_are_counted_and_its_slowest_goes() -> None:
    async with serving(max_memory=12 * MIB, stall_limit=60) as server, honest_pair(server):
        async with AsyncExitStack() as there:
            reader = await there.enter_async_context(joined(server.url, stuck=True))
            address = reader.address
            async with trio.open_nursery() as nursery:
                for _ in range(16):
                    publisher = await there.enter_async_context(joined(server.url))
                    nursery.start_soon(publisher.send, frame(BINARY, bytes(MIB)))
                    nursery.start_soon(publisher.wait_gone)
                ended = await server.event("disconnected", why="over-memory")
                assert ended["address"] == address
                nursery.cancel_scope.cancel()
        await until_nothing_is_held(server)


async def test_without_a_limit_everything_is_held() -> None:
    async with serving(max_memory=0) as server, AsyncExitStack() as there:
        for _ in range(4):
            peer = await there.enter_async_context(connected(server.url))
            await peer.shake_hands(request())
            await peer.send(UNFINISHED)
        await until_held(server, 4 * len(UNFINISHED) - 4 * 64)
        assert not server.server.counters.disconnected
