"""A shutdown reads on while it drains: a client that finishes a write before it reads gets what is its."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from helpers.raw_peer import TEXT, frame, joined
from helpers.server import serving

KIB, MIB = 2**10, 2**20

MESSAGE = b"x" * 100 * KIB


@pytest.mark.parametrize("options", [{}, {"rate": "20/h:20"}], ids=["at once", "at a rate"])
async def test_a_client_that_writes_before_it_reads_is_drained_and_closed_politely(
    options: dict[str, Any],
) -> None:
    """What it writes is more than a socket holds, and so is what it is to read: each waits for the other."""
    written = 64
    run = serving(when_slow="wait", shutdown_timeout=15, **options)
    async with run as server, joined(server.url) as publisher:
        async with joined(server.url, stuck=True) as peer:
            for _ in range(20):
                await publisher.send(frame(TEXT, MESSAGE))
            await trio.testing.wait_all_tasks_blocked(0.05)

            async def shut_down() -> None:
                await server.server.shutdown()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(shut_down)
                await server.event("shutting-down")
                for _ in range(written):
                    await peer.send(frame(TEXT, MESSAGE))
                for _ in range(20):
                    assert await peer.read_frame() == (TEXT, MESSAGE)
                assert await peer.read_close() == 1001
                await peer.send(b"\x88\x80\0\0\0\0")
                await publisher.send(b"\x88\x80\0\0\0\0")
        left = await server.event("disconnected", address=peer_address(server))
        assert left["why"] == "shutdown"
        assert server.server.counters.messages_discarded == written


def peer_address(server: object) -> str:
    """Return the address of the client that was sent the most."""
    entries = server.find("disconnected")  # type: ignore[attr-defined]
    return str(max(entries, key=lambda entry: entry["sent"])["address"])
