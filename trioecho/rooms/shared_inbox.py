"""The inbox of a shared room: what its log brings waits in it, and is never kept waiting."""

from __future__ import annotations

import trio

from trioecho.memory import Memory
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.inbox import Inbox

__all__ = ["SharedInbox"]


class SharedInbox(Inbox):
    """An inbox that never makes its log wait, and gives what is no message apart from messages."""

    def __init__(self, limit: int, memory: Memory | None = None) -> None:
        super().__init__(limit, memory)
        self._taken = self._apart = False

    @property
    def has_space(self) -> bool:
        """Whether at most half of it is full."""
        return self._bytes <= self._limit // 2

    @property
    def asleep(self) -> bool:
        """Never: only the broadcaster knows where in the log a batch has its place."""
        return False

    def offer(self, batch: Batch) -> bool:
        """Put a batch in, whatever waits, and return whether there is space for another."""
        if self._closed:
            return False
        if self._memory is not None and self._bytes >= self._much:
            batch.hold(self._memory)
        self._batches.append(batch)
        self._bytes += batch.cost
        self._arrived += 1
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None
        return self._bytes < self._limit

    async def wait(self) -> None:
        """Wait until there is a batch, with which the next fan-out begins."""
        self._taken = False
        await super().wait()

    def take(self) -> Batch | None:
        """Take the oldest batch, if it can go out with those taken since :meth:`wait`."""
        if not self._batches:
            return None
        apart = self._batches[0].source is Origin.KNOWN
        if self._taken and (apart or self._apart):
            return None
        self._taken, self._apart = True, apart
        return super().take()
