"""The server under abuse, as those who abuse it see it, and what all of them do."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio
from helpers.raw_peer import Peer, request

__all__ = ["Abuse", "Drive", "Member", "Target"]

Member = Callable[[int, Callable[[], None]], Awaitable[None]]
"""One of a crowd: gets its number, and what to call once it is where it wants to be."""

AT_ONCE = 50
"""So many connections are opened at the same time, so that the listener's queue is not what is measured."""

AGAIN = 0.02
"""Seconds until somebody who was cut comes back."""


@dataclass
class Target:
    """
    The server, and how much of the abuse it is to see.

    Attributes:
        port: where it listens, on 127.0.0.1.
        scale: what the numbers of connections are multiplied by; 1 is what the table says.
        ready: to be called once the abuse is on; what comes before is not measured.

    """

    port: int
    scale: float
    ready: Callable[[], None]
    _opening: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(AT_ONCE))

    def count(self, full: int) -> int:
        """Return how many of ``full`` there are to be: at least one."""
        return max(1, math.ceil(full * self.scale))

    @asynccontextmanager
    async def connected(self, *, buffer: int | None = None) -> AsyncIterator[Peer]:
        """Connect without a word; ``buffer`` is what the kernel keeps of what is not read (bytes)."""
        sock = trio.socket.socket()
        if buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        stream = trio.SocketStream(sock)
        try:
            async with self._opening:
                await sock.connect(("127.0.0.1", self.port))
            yield Peer(stream)
        finally:
            await trio.aclose_forcefully(stream)

    @asynccontextmanager
    async def joined(
        self, room: bytes, *, buffer: int | None = None, headers: Mapping[bytes, bytes] | None = None
    ) -> AsyncIterator[Peer]:
        """Connect and enter a room."""
        async with self.connected(buffer=buffer) as peer:
            async with self._opening:
                await peer.shake_hands(request(room, headers=headers))
            yield peer

    async def crowd(self, full: int, member: Member) -> None:
        """
        Have so many members; the abuse is on once each has called what it is given.

        A member that is cut comes back, until all of this is cancelled.
        """
        count = self.count(full)
        there: set[int] = set()

        def arrived(number: int) -> None:
            if number not in there:
                there.add(number)
                if len(there) == count:
                    self.ready()

        async def run(number: int) -> None:
            while True:
                try:
                    await member(number, lambda: arrived(number))
                except* (OSError, trio.BrokenResourceError, AssertionError):
                    pass  # cut, refused, or answered with something else: all of it may be right
                arrived(number)
                await trio.sleep(AGAIN)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(run, number)


Drive = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True)
class Abuse:
    """
    One kind of abuse: its name, what it is in the table's words, and what does it until it is cancelled.

    ``options`` are what the server needs to have it happen at all; all else stays at its default.
    """

    name: str
    what: str
    drive: Drive
    options: tuple[str, ...] = ()
