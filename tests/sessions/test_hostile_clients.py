"""Hostile clients after their handshake: each ends itself at most, and harms nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from helpers.raw_peer import CONTINUATION, PING, PONG, TEXT, Peer, close, connected, frame, joined, request
from helpers.server import serving, unharmed
from helpers.server_process import running
from trio_websocket import open_websocket_url

MIB = 2**20

OVERSIZE = frame(TEXT, b"x" * 1025)


async def test_a_ping_after_our_close_frame_is_not_answered() -> None:
    async with unharmed(max_message_size=1024) as server:
        async with joined(server.url) as peer:
            await peer.send(OVERSIZE)
            assert await peer.read_close() == 1009
            await peer.send(frame(PING, b"?") + frame(PING, b"?") + close(1009) + frame(PING, b"?"))
            assert await peer.read_to_end() == b""
        await server.event("disconnected", room="/", code=1009)


async def test_pings_and_a_close_in_answer_to_a_shutdown_harm_nobody() -> None:
    async with serving() as server:
        async with joined(server.url) as peer, joined(server.url) as other, trio.open_nursery() as nursery:
            nursery.start_soon(server.server.shutdown)
            for each in (peer, other):
                assert await each.read_close() == 1001
            await peer.send(frame(PING) * 3 + frame(TEXT, b"late") + frame(PING) + close(1001) + frame(PING))
            assert await peer.read_to_end() == b""
            await other.send(close(1001))
            assert await other.read_to_end() == b""
        stopped = await server.event("stopped")
        assert (stopped["closed"], stopped["aborted"]) == (2, 0)
        assert not server.tracebacks


async def test_two_oversize_messages_in_one_read_are_answered_once() -> None:
    async with unharmed(max_message_size=1024) as server:
        async with joined(server.url) as peer:
            await peer.send(OVERSIZE * 2)
            assert await peer.read_close() == 1009
            assert await peer.read_to_end() == b""
        await server.event("disconnected", room="/", why="too-big", code=1009)


async def say_nothing(peer: Peer) -> None:
    """Be connected, and that is all."""


async def half_a_head(peer: Peer) -> None:
    await peer.send(request()[:40])


async def not_wait_for_the_answer(peer: Peer) -> None:
    await peer.send(request())


async def half_a_frame(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(TEXT, b"x" * 1000)[:500])


async def half_a_message(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(TEXT, b"x" * 1000, final=False))


async def a_message(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(TEXT, b"hello"))


async def a_close_frame(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(close())


async def provoke_a_close_frame(peer: Peer) -> None:
    await peer.shake_hands(request())
    await peer.send(frame(0x3))
    assert await peer.read_close() == 1002


STAGES = [
    say_nothing,
    half_a_head,
    not_wait_for_the_answer,
    half_a_frame,
    half_a_message,
    a_message,
    a_close_frame,
    provoke_a_close_frame,
]


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_peer_that_vanishes_is_gone_and_forgotten(
    stage: Callable[[Peer], Awaitable[None]], reset: bool
) -> None:
    async with unharmed() as server, connected(server.url) as peer:
        address = peer.address
        await stage(peer)
        peer.vanish(reset=reset)
        await server.event("disconnected", "vanished", "refused", address=address)
        assert server.server.hub.rooms == {"/healthy": 2}


async def test_a_message_of_a_peer_that_vanishes_at_once_is_relayed() -> None:
    async with unharmed() as server, joined(server.url) as reader, connected(server.url) as peer:
        await a_message(peer)
        peer.vanish(reset=False)
        assert await reader.read_frame() == (TEXT, b"hello")


async def test_a_peer_that_ends_its_half_only_is_let_go_and_its_messages_are_relayed() -> None:
    async with unharmed() as server, joined(server.url) as reader, joined(server.url) as peer:
        await peer.send(frame(TEXT, b"goodbye"))
        await peer.stream.send_eof()
        assert await reader.read_frame() == (TEXT, b"goodbye")
        await server.event("disconnected", address=peer.address, why="lost", code=1006)
        await peer.wait_gone()


async def test_a_peer_that_pings_without_end_and_reads_nothing_takes_no_memory_and_is_found_dead() -> None:
    async with running("--ping-interval", "0.5", "--ping-timeout", "0.5") as server:
        async with (
            open_websocket_url(server.url) as one,
            open_websocket_url(server.url) as other,
            joined(server.url, stuck=True) as peer,
        ):
            await server.event("connected", count=3)
            before = server.memory
            await peer.send_until_refused(frame(PING, b"x" * 125) * 1000)
            left = await server.event("disconnected")
            assert (left["address"], left["why"]) == (peer.address, "dead")
            assert server.memory - before < 4 * MIB
            await one.send_message("still there?")
            assert await other.get_message() == "still there?"


async def test_endless_empty_fragments_take_no_memory() -> None:
    async with running() as server, joined(server.url) as peer, joined(server.url) as reader:
        await peer.send(frame(TEXT, b"begun, ", final=False) + frame(PING))
        assert await peer.read_frame() == (PONG, b"")
        before = server.memory
        for _ in range(20):
            await peer.send(frame(CONTINUATION, final=False) * 10_000)
        await peer.send(frame(PING))
        assert await peer.read_frame() == (PONG, b"")
        assert server.memory - before < 4 * MIB
        await peer.send(frame(CONTINUATION, b"ended"))
        assert await reader.read_frame() == (TEXT, b"begun, ended")


async def test_endless_fragments_of_a_text_larger_in_bytes_than_in_characters_take_no_memory() -> None:
    async with running("--max-message-size", "1KiB") as server, joined(server.url) as peer:
        await server.event("connected")
        before = server.memory
        await peer.send(frame(TEXT, "é".encode() * 500, final=False))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                peer.send_until_refused,
                frame(CONTINUATION, "é".encode(), final=False) * 20
                + frame(CONTINUATION, final=False) * 200_000,
            )
            assert await peer.read_close() == 1009
            assert server.memory - before < 4 * MIB
            address = peer.address
            peer.vanish(reset=True)
            await server.event("disconnected", address=address, why="too-big")
