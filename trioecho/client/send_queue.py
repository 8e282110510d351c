"""
What a client still has to send: whole frames in order, bounded in bytes.

The bound is what makes a slow server slow its sender: :meth:`SendQueue.wait_for_space` waits until the frames
before have gone. Because ``send()`` only puts a frame here, cancelling it never leaves half a frame on the
wire: the message is either not taken at all, or goes out whole.
"""

from __future__ import annotations

from collections import deque

import trio

__all__ = ["SendQueue"]

Frame = bytes | bytearray

MAX_PENDING = 64 * 1024
"""
Pending bytes at which senders wait; one frame may go over it. It is what one write hands to the kernel, so
more would only hide from the sender how slow the server is.
"""

OVERHEAD = 64
"""What a queued frame counts for beside its bytes: about what Python needs to keep it."""

MAX_PONGS = 64 * 1024
"""Bytes of answers to pings that may wait to be written, each with its overhead."""


class SendQueue:
    """The frames of one connection that are not yet written. ``closed``: no further messages are taken."""

    def __init__(self) -> None:
        self.closed = False
        self._messages: deque[Frame] = deque()
        self._pending = 0
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._pings: list[Frame] = []
        self._pongs: deque[Frame] = deque()
        self._pongs_size = 0
        self._last: Frame | None = None
        self._turn = trio.StrictFIFOLock()
        self._next_sender = trio.lowlevel.ParkingLot()
        self._writer = trio.lowlevel.ParkingLot()

    async def wait_for_space(self) -> None:
        """
        Wait for space, first come, first served; returns at once when nothing more will be written.

        While there is space other tasks get no turn: a trip through the scheduler for every message would
        cost more than the message, and make a write of each. At most a bufferful goes by like that.
        """
        if self._pending < MAX_PENDING and not self._turn.locked():
            return await trio.lowlevel.checkpoint_if_cancelled()
        async with self._turn:
            while self._pending >= MAX_PENDING and not self.closed:
                await self._next_sender.park()

    def put(self, message: Frame) -> None:
        """Queue the frame of a message, whether or not there is space."""
        self._messages.append(message)
        self._pending += len(message) + OVERHEAD
        self._writer.unpark()

    def put_ping(self, frame: Frame) -> None:
        """Queue a ping, ahead of all messages: it measures the connection, not the queue."""
        self._pings.append(frame)
        self._writer.unpark()

    def put_pong(self, frame: Frame) -> None:
        """
        Queue the answer to a ping, behind the answers to earlier ones.

        A server that sends pings without end and reads none of the answers costs bounded memory: at the bound
        the oldest answers are dropped, as only the latest must be sent (RFC 6455, section 5.5.3).
        """
        self._pongs.append(frame)
        self._pongs_size += len(frame) + OVERHEAD
        while self._pongs_size > MAX_PONGS:
            self._pongs_size -= len(self._pongs.popleft()) + OVERHEAD
        self._writer.unpark()

    def put_last(self, close: Frame) -> None:
        """Queue the close frame, behind everything else."""
        self._last = close
        self._writer.unpark()

    async def take(self) -> Frame:
        """Wait for frames and take as many as make one write, counted as in flight until the next call."""
        self._in_flight = self._in_flight_bytes = 0
        while self.empty:
            await self._writer.park()
        chunk = bytearray().join([*self._pings, *self._pongs])
        self._pings.clear()
        self._pongs.clear()
        self._pongs_size = 0
        while self._messages and len(chunk) < MAX_PENDING and not self.closed:
            frame = self._messages.popleft()
            self._pending -= len(frame) + OVERHEAD
            self._in_flight += 1
            chunk += frame
        if (self.closed or not self._messages) and self._last is not None:
            chunk += self._last
            self._last = None
        self._in_flight_bytes = len(chunk)
        self._next_sender.unpark()
        return chunk

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take."""
        if self._messages and not self.closed:
            return False
        return not self._pings and not self._pongs and self._last is None

    @property
    def unwritten(self) -> int:
        """How many bytes are queued or in an unfinished write."""
        return self._in_flight_bytes + (0 if self.closed else self._pending)

    def close(self) -> None:
        """Take no further messages, and release who waits for space."""
        self.closed = True
        self._next_sender.unpark()

    @property
    def in_doubt(self) -> int:
        """How many messages are in an unfinished write; how much of it the server has is not known."""
        return self._in_flight

    @property
    def unsent(self) -> list[Frame]:
        """The messages of which nothing has been written; any other connection may carry them."""
        return list(self._messages)
