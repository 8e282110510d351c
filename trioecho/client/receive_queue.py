"""
What a server has sent and the program has not yet taken: whole messages in order, bounded in bytes.

The bound is what makes a slow program slow its server: the reader waits in
:meth:`ReceiveQueue.wait_for_space`, the kernel's buffers fill, and TCP does the rest.
"""

from __future__ import annotations

from collections import deque

import trio

__all__ = ["ReceiveQueue"]

MAX_UNREAD = 64 * 1024
"""
Unread bytes at which the reader waits. What one read of the socket gave is always taken in whole, so at most
this, one read and one message are held.
"""

OVERHEAD = 64
"""What a message counts for beside its length: about what Python needs to keep it."""


class ReceiveQueue:
    """
    The messages that are not yet received.

    ``ended``: no more will come. ``discarding``: nobody takes messages any more, so they are dropped.
    """

    def __init__(self) -> None:
        self.ended = False
        self.discarding = False
        self._messages: deque[str | bytes] = deque()
        self._size = 0
        self._arrived = trio.lowlevel.ParkingLot()
        self._taken = trio.Event()

    def put(self, message: str | bytes) -> None:
        """Add a message, whether or not there is space."""
        if not self.discarding:
            self._messages.append(message)
            self._size += len(message) + OVERHEAD
            self._arrived.unpark()

    async def get(self) -> str | bytes | None:
        """Take the oldest message, or wait for one. None: no more will come."""
        if not await self._any():
            return None
        message = self._messages.popleft()
        self._size -= len(message) + OVERHEAD
        if not self.full:
            self._taken.set()
        return message

    async def get_all(self) -> list[str | bytes]:
        """Take all messages; wait while there is none. Empty: no more will come."""
        await self._any()
        messages = list(self._messages)
        self._messages.clear()
        self._size = 0
        self._taken.set()
        return messages

    async def _any(self) -> bool:
        """
        Wait for a message; False: no more will come.

        While there are some, other tasks get no turn, as in :meth:`SendQueue.wait_for_space`, and for the
        same reason.
        """
        if self._messages:
            await trio.lowlevel.checkpoint_if_cancelled()
        while not self._messages:
            if self.ended:
                await trio.lowlevel.checkpoint()
                return False
            await self._arrived.park()
        return True

    async def wait_for_space(self) -> None:
        """Wait until the program has taken enough, or it no longer matters."""
        if self.full and not self.ended:
            self._taken = trio.Event()
            await self._taken.wait()

    @property
    def full(self) -> bool:
        """Whether the reader waits for the program."""
        return self._size >= MAX_UNREAD

    def discard(self) -> None:
        """Drop what is here and all that is still to come."""
        self.discarding = True
        self._messages.clear()
        self._size = 0
        self._taken.set()

    def end(self) -> None:
        """Announce that no more messages will come; those that are here can still be taken."""
        self.ended = True
        self._arrived.unpark_all()
        self._taken.set()
