"""
What a client still has to send: whole frames in order, bounded in bytes.

The bound is what makes a slow server slow its sender: :meth:`Outgoing.room` waits until the frames before
have gone. Because ``send()`` only puts a frame here, cancelling it never leaves half a frame on the wire:
the message is either not taken at all, or goes out whole.
"""

from __future__ import annotations

from collections import deque

import trio

__all__ = ["Outgoing"]

Frame = bytes | bytearray

MAX_PENDING = 64 * 1024
"""
Pending bytes at which senders wait; one frame may go over it. It is what one write hands to the kernel, so
more would only hide from the sender how slow the server is.
"""

OVERHEAD = 64
"""What a queued message counts for beside its bytes: about what Python needs to keep it."""


class Outgoing:
    """The frames of one connection that are not yet written. ``closed``: no message will be any more."""

    def __init__(self) -> None:
        self.closed = False
        self._messages: deque[Frame] = deque()
        self._pending = 0
        self._in_flight = 0
        self._pings: list[Frame] = []
        self._pong: Frame | None = None
        self._last: Frame | None = None
        self._turn = trio.StrictFIFOLock()
        self._next_sender = trio.lowlevel.ParkingLot()
        self._writer = trio.lowlevel.ParkingLot()

    async def room(self) -> None:
        """
        Wait for room, first come, first served; returns at once when nothing will be written any more.

        While there is room other tasks get no turn: a trip through the scheduler for every message would cost
        more than the message, and make a write of each. At most a bufferful goes by like that.
        """
        if self._pending < MAX_PENDING and not self._turn.locked():
            return await trio.lowlevel.checkpoint_if_cancelled()
        async with self._turn:
            while self._pending >= MAX_PENDING and not self.closed:
                await self._next_sender.park()

    def put(self, message: Frame) -> None:
        """Queue the frame of a message, bound or not."""
        self._messages.append(message)
        self._pending += len(message) + OVERHEAD
        self._writer.unpark()

    def put_ping(self, frame: Frame) -> None:
        """Queue a ping, before all messages: it measures the connection, not the queue."""
        self._pings.append(frame)
        self._writer.unpark()

    def put_pong(self, frame: Frame) -> None:
        """
        Queue the answer to a ping, in place of one not yet written.

        Only the latest has to be answered (RFC 6455, section 5.5.3), so a server that sends pings without end
        and reads none of the answers costs no memory.
        """
        self._pong = frame
        self._writer.unpark()

    def put_last(self, close: Frame) -> None:
        """Queue the close frame, behind everything else."""
        self._last = close
        self._writer.unpark()

    async def take(self) -> Frame:
        """Wait for frames and take as many as make one write, counted as in flight until the next call."""
        self._in_flight = 0
        while self.empty:
            await self._writer.park()
        chunk = bytearray().join(self._pings)
        self._pings.clear()
        if self._pong is not None:
            chunk += self._pong
            self._pong = None
        while self._messages and len(chunk) < MAX_PENDING and not self.closed:
            frame = self._messages.popleft()
            self._pending -= len(frame) + OVERHEAD
            self._in_flight += 1
            chunk += frame
        if (self.closed or not self._messages) and self._last is not None:
            chunk += self._last
            self._last = None
        self._next_sender.unpark()
        return chunk

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        if self._messages and not self.closed:
            return False
        return not self._pings and self._pong is None and self._last is None

    def close(self) -> None:
        """Write no further messages, and let go who waits for room."""
        self.closed = True
        self._next_sender.unpark()

    @property
    def in_doubt(self) -> int:
        """How many messages are in an unfinished write; how much of it the server has got is not known."""
        return self._in_flight

    @property
    def left(self) -> list[Frame]:
        """The messages of which nothing has been written; any other connection may carry them."""
        return list(self._messages)
