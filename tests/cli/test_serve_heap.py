"""The command gives memory back to the system once nobody needs it, not only to its own allocator."""

from __future__ import annotations

import pytest
import trio
from helpers.raw_peer import BINARY, frame, joined
from helpers.server_process import Running, running

from trioecho.cli.heap import can_give_back

MIB = 2**20

CLIENTS = 200

UNFINISHED = frame(BINARY, bytes(MIB))[:-100]
"""Nearly all of a message of 1 MiB."""

PIECE = 64 * 2**10
"""What each sends in its turn: so that what they send lies mixed up in the server's memory."""

glibc = pytest.mark.skipif(not can_give_back(), reason="the allocator has no malloc_trim: it is glibc's")


@glibc
async def test_what_clients_left_unfinished_goes_back_to_the_system() -> None:
    async with running() as server:
        before = server.memory
        await _leave_unfinished(server)
        while server.memory > before + CLIENTS * MIB / 5:  # noqa: ASYNC110 - it is another process
            await trio.sleep(0.05)


async def _leave_unfinished(server: Running) -> None:
    """Hold a message each until the server has all of them, and then leave."""
    before = server.memory
    sent = trio.Event()
    waiting = CLIENTS

    async def client() -> None:
        nonlocal waiting
        async with joined(server.url) as peer:
            for start in range(0, len(UNFINISHED), PIECE):
                await peer.send(UNFINISHED[start : start + PIECE])
                await trio.lowlevel.checkpoint()
            waiting -= 1
            if waiting == 0:
                sent.set()
            await sent.wait()
            while server.memory < before + CLIENTS * MIB * 0.9:  # noqa: ASYNC110 - it is another process
                await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        for _ in range(CLIENTS):
            nursery.start_soon(client)
