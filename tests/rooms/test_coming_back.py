"""One that never reads, is cut and comes back, on real sockets: its room stays quick for the others."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest
import trio
from helpers.raw_peer import BINARY, TEXT, Peer, frame, joined
from helpers.server_process import Running, running

STALL_LIMIT = 10.0
"""Much longer than everything here may take: who waited it out once would not be done in time."""

TIMES = 4
"""How often it comes, while the loyal pair exchanges a message every 20 ms."""

BULK = frame(BINARY, bytes(128 * 1024))
"""What makes the room busy; every 20 ms: 6 MB a second."""


class Round:
    """One that joins again and again and never reads."""

    def __init__(self) -> None:
        self.times = 0

    async def go(self, server: Running) -> None:
        """Join, be disconnected, and come back at once."""
        while True:
            async with joined(server.url, stuck=True) as peer:
                self.times += 1
                await disconnected(peer)


async def disconnected(peer: Peer) -> None:
    """Wait for the end of a connection without reading from it."""
    poll = select.poll()
    poll.register(peer.stream.socket.fileno(), select.POLLRDHUP)
    while not poll.poll(0):  # noqa: ASYNC110 - trio waits for what can be read, and there always is something
        await trio.sleep(0.005)


@asynccontextmanager
async def busy(server: Running) -> AsyncIterator[None]:
    """Keep the room busy."""
    async with joined(server.url) as publisher, trio.open_nursery() as nursery:
        nursery.start_soon(publisher.wait_gone)

        async def publish() -> None:
            while True:
                await publisher.send(BULK)
                await trio.sleep(0.02)

        nursery.start_soon(publish)
        yield
        nursery.cancel_scope.cancel()


async def exchange(server: Running, round: Round) -> list[float]:
    """Send from one to the other at fixed times; return how late each message came (seconds)."""
    late: list[float] = []
    async with joined(server.url) as sender, joined(server.url) as reader, trio.open_nursery() as nursery:
        nursery.start_soon(sender.wait_gone)
        began = trio.current_time()

        async def send() -> None:
            for number in count():
                await trio.sleep_until(began + number * 0.02)
                await sender.send(frame(TEXT, b"%d" % number))

        nursery.start_soon(send)
        while round.times < TIMES:
            opcode, payload = await reader.read_frame()
            if opcode == TEXT:
                assert int(payload) == len(late), "the loyal lose nothing, and keep the order"
                late.append(trio.current_time() - began - len(late) * 0.02)
        nursery.cancel_scope.cancel()
    return late


@pytest.mark.skipif(not hasattr(select, "POLLRDHUP"), reason="POLLRDHUP is Linux's")
async def test_who_comes_back_when_it_is_cut_does_not_hold_its_room_up() -> None:
    options = ("--when-slow", "wait", "--stall-limit", str(STALL_LIMIT), "--max-pending-bytes", "1MiB")
    round = Round()
    async with running(*options) as server, busy(server), trio.open_nursery() as nursery:
        nursery.start_soon(round.go, server)
        late = sorted(await exchange(server, round))
        nursery.cancel_scope.cancel()
    reasons = [entry["why"] for entry in server.find("disconnected") if entry["code"] == 1008]
    assert reasons[0] == "never-kept-up" and reasons[1:] == ["slow-again"] * (TIMES - 2)
    # On an idle machine the worst is some 10 ms; a stall limit would be a thousand times as long.
    assert late[len(late) // 2] < 0.1 and late[-1] < 1
