"""
A room's inbox: the batches that wait to be fanned out, and the publishers who wait to bring one.

It is bounded in bytes, which is what memory is made of. (A memory channel is bounded in batches, and makes a
lone message's way longer.)

It also counts: how many batches have come in, and how many of them have been fanned out. Who wants to know
when everything so far has been delivered waits for the second number to reach what the first one is now, so
that question takes no place among the batches.
"""

from __future__ import annotations

from collections import deque

import trio

from trioecho.memory import Memory
from trioecho.rooms.batch import Batch

__all__ = ["Inbox"]


class Inbox:
    """
    The queue between publishers and one broadcaster.

    It takes batches as long as fewer than ``limit`` bytes wait, so one batch may go over it; after that,
    publishers wait in a line. What comes when a sixteenth of that is waiting is counted in ``memory``.
    """

    def __init__(self, limit: int, memory: Memory | None = None) -> None:
        self._limit = limit
        self._much = limit // 16
        self._memory = memory
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._line = trio.lowlevel.ParkingLot()
        self._sleeper: trio.lowlevel.Task | None = None  # the broadcaster, while there is nothing to do
        self._failure: Exception | None = None  # what the broadcaster is to fail with
        self._closed = False
        self._arrived = self._delivered = 0
        # Who waits until so many batches have been delivered, in order.
        self._waiting: deque[tuple[int, trio.Event]] = deque()

    async def put(self, batch: Batch) -> bool:
        """
        Put a batch in, in its turn, and return whether it was taken; a closed inbox takes none.

        A checkpoint only if it has to wait. If cancelled, the batch was not taken.
        """
        if self._line or self._bytes >= self._much:
            if self._memory is not None:
                batch.hold(self._memory)
            if self._line or self._bytes >= self._limit:
                await self._line.park()
        return self._put(batch)

    def put_nowait(self, batch: Batch) -> bool:
        """
        Put a batch in, and return whether it was taken; a closed inbox takes none.

        Raises:
            trio.WouldBlock: it is full, or others wait.

        """
        if self._line or self._bytes >= self._limit:
            raise trio.WouldBlock
        if self._bytes >= self._much and self._memory is not None:
            batch.hold(self._memory)
        return self._put(batch)

    def _put(self, batch: Batch) -> bool:
        if self._closed:
            return False
        self._batches.append(batch)
        self._bytes += batch.cost
        self._arrived += 1
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None
        self.admit()
        return True

    @property
    def asleep(self) -> bool:
        """Whether nothing is in here, nobody waits to bring more, and the broadcaster waits for it."""
        return self._sleeper is not None and not self._line

    def fail(self, error: Exception) -> None:
        """Let the broadcaster, which is asleep, fail with this error."""
        assert self._sleeper is not None
        self._failure = error
        trio.lowlevel.reschedule(self._sleeper)
        self._sleeper = None

    @property
    def idle(self) -> bool:
        """Whether everything is delivered that was brought, and nobody waits to bring more."""
        return self._closed or (self._delivered >= self._arrived and not self._line)

    async def flush(self) -> None:
        """Wait until everything is delivered that is in here, or in the line before the caller."""
        if self._line:
            await self._line.park()
            self.admit()
        if self.idle:
            return
        delivered = trio.Event()
        self._waiting.append((self._arrived, delivered))
        await delivered.wait()

    async def wait(self) -> None:
        """Wait until there is a batch."""
        if self._batches:
            await trio.lowlevel.checkpoint()
            return
        self._sleeper = trio.lowlevel.current_task()

        def wake(_: object) -> trio.lowlevel.Abort:
            self._sleeper = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(wake)
        if self._failure is not None:
            raise self._failure

    def take(self) -> Batch | None:
        """Take the oldest batch, if there is one; after the last, call :meth:`admit`."""
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._bytes -= batch.cost
        return batch

    def admit(self) -> None:
        """Let the first of the line bring its batch, if there is space; it admits the next one itself."""
        if self._line and self._bytes < self._limit:
            self._line.unpark()

    def delivered(self, batches: int) -> None:
        """Take notice that so many more batches have been fanned out."""
        self._delivered += batches
        while self._waiting and self._waiting[0][0] <= self._delivered:
            self._waiting.popleft()[1].set()

    def close(self) -> None:
        """Take no more, forget what is in here, and let everybody go who waits."""
        self._closed = True
        self._batches.clear()
        self._bytes = 0
        self._line.unpark_all()
        while self._waiting:
            self._waiting.popleft()[1].set()
