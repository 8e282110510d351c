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
        self._changed = trio.Event()

    async def room(self) -> None:
        """Wait for room, first come, first served; returns at once when nothing will be written any more."""
        async with self._turn:
            while self._pending >= MAX_PENDING and not self.closed:
                await self._changed.wait()

    def put(self, message: Frame) -> None:
        """Queue the frame of a message, bound or not."""
        self._messages.append(message)
        self._pending += len(message)
        self._notify()

    def put_ping(self, frame: Frame) -> None:
        """Queue a ping, before all messages: it measures the connection, not the queue."""
        self._pings.append(frame)
        self._notify()

    def put_pong(self, frame: Frame) -> None:
        """
        Queue the answer to a ping, in place of one not yet written.

        Only the latest has to be answered (RFC 6455, section 5.5.3), so a server that sends pings without end
        and reads none of the answers costs no memory.
        """
        self._pong = frame
        self._notify()

    def put_last(self, close: Frame) -> None:
        """Queue the close frame, behind everything else."""
        self._last = close
        self._notify()

    async def take(self) -> Frame:
        """Wait for frames and take as many as make one write, counted as in flight until the next call."""
        self._in_flight = 0
        while self.empty:
            await self._changed.wait()
        chunk = bytearray().join(self._pings)
        self._pings.clear()
        if self._pong is not None:
            chunk += self._pong
            self._pong = None
        while self._messages and len(chunk) < MAX_PENDING:
            frame = self._messages.popleft()
            self._pending -= len(frame)
            self._in_flight += 1
            chunk += frame
        if not self._messages and self._last is not None:
            chunk += self._last
            self._last = None
        self._notify()
        return chunk

    @property
    def empty(self) -> bool:
        """Whether everything put here has been taken."""
        return not (self._messages or self._pings) and self._pong is None and self._last is None

    def close(self) -> int:
        """
        Drop the messages that are not yet taken, and let go who waits for room.

        Returns how many messages were not written, those of an unfinished write included: how much of that
        the server has got is not known.
        """
        unsent = len(self._messages) + self._in_flight
        self.closed = True
        self._messages.clear()
        self._pending = 0
        self._notify()
        return unsent

    def _notify(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
