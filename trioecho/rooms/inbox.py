"""
A room's inbox: the batches that wait to be fanned out, and those who wait to bring one.

It is bounded in bytes, which is what memory is made of. (A memory channel is bounded in batches, and makes a
lone message's way longer.)
"""

from __future__ import annotations

from collections import deque

import trio

from trioecho.rooms.batch import Batch

__all__ = ["Inbox"]


class Inbox:
    """
    The queue between those who publish and one broadcaster.

    It takes batches as long as fewer than ``limit`` bytes wait, so one batch may go over it; after that,
    who publishes waits in a line.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._line = trio.lowlevel.ParkingLot()
        self._sleeper: trio.lowlevel.Task | None = None  # the broadcaster, while there is nothing to do
        self._closed = False

    async def put(self, batch: Batch) -> None:
        """
        Put a batch in, in its turn; a checkpoint only if that means to wait.

        A closed inbox settles the batch and forgets it. If cancelled, the batch was not taken.
        """
        if self._line or self._bytes >= self._limit:
            await self._line.park()
        if self._closed:
            if batch.flushed is not None:
                batch.flushed.set()
            return
        self._batches.append(batch)
        self._bytes += batch.cost
        if self._sleeper is not None:
            trio.lowlevel.reschedule(self._sleeper)
            self._sleeper = None
        self.let_in()

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

    def take(self) -> Batch | None:
        """Take the oldest batch, if there is one; :meth:`let_in` is to follow after the last."""
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._bytes -= batch.cost
        return batch

    def let_in(self) -> None:
        """Let the first of the line bring its batch, if there is room; it lets in the next itself."""
        if self._line and self._bytes < self._limit:
            self._line.unpark()

    def close(self) -> list[Batch]:
        """Take no more, let everybody go who waits, and return what was not taken."""
        self._closed = True
        left = [*self._batches]
        self._batches.clear()
        self._line.unpark_all()
        return left
