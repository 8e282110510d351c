"""
A shared room: one that is the same on several servers, because all of them read it from one log.

What is published goes to the log, and what the log brings comes into the inbox: the room's own broadcaster
gives it to everybody, as in any room. Three kinds of it come back: messages; messages that everybody here
has had already, which are only remembered; and jumps, where messages are missing or the count is a new one.

A room that has just been made does not know where it is until its log has said so. Who wants to begin at a
place in its past waits for that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import trio

from trioecho.counters import Counters
from trioecho.memory import Memory
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.bounds import INBOX_BYTES
from trioecho.rooms.compression import Compressor
from trioecho.rooms.history import History
from trioecho.rooms.inbox import Inbox
from trioecho.rooms.log import Jump, Logs, Remembered
from trioecho.rooms.notice import Notice
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.outbox import Outbox, State
from trioecho.rooms.place import Place
from trioecho.rooms.recipients import is_for_everybody
from trioecho.rooms.room import Room
from trioecho.rooms.slow_history import SlowHistory
from trioecho.settings import Settings

__all__ = ["SharedRoom"]


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


class SharedRoom(Room):
    """A room whose messages come from a log of ``logs``."""

    _inbox: SharedInbox

    def __init__(
        self,
        name: str,
        settings: Settings,
        counters: Counters,
        history: History,
        *,
        logs: Logs,
        memory: Memory | None = None,
        compressor: Compressor | None = None,
        slow: SlowHistory | None = None,
        draining: bool = False,
    ) -> None:
        super().__init__(
            name,
            settings,
            counters,
            history,
            memory=memory,
            compressor=compressor,
            slow=slow,
            draining=draining,
        )
        self._inbox = SharedInbox(min(INBOX_BYTES, settings.max_pending_bytes), memory)
        self._patience_to_open = logs.patience
        self._opened = trio.Event()
        self._when_open: list[Callable[[], None]] = []
        self._log = logs.open(self)
        self._has_ended = False
        if logs.presences is not None:
            self.shared_presence = logs.presences.open(name)

    def add(self, member: Occupant) -> None:
        """Let ``member`` in, and the other servers know."""
        super().add(member)
        if self.shared_presence is not None:
            self.shared_presence.came(member)

    def remove(self, member: Occupant) -> None:
        """Let ``member`` go, and the other servers know; harmless if it is not there."""
        if self.shared_presence is not None and member in self.members:
            self.shared_presence.left(member)
        super().remove(member)

    async def publish(self, batch: Batch) -> bool:
        """Hand over a batch, as in any room; it is fanned out when the log brings it back."""
        if self._draining or not is_for_everybody(batch, self._settings.to):
            return await super().publish(batch)
        return await self._log.append(batch)

    def publish_nowait(self, batch: Batch) -> bool:
        """Do as :meth:`publish`, without waiting; raises ``trio.WouldBlock`` if that takes waiting."""
        if self._draining or not is_for_everybody(batch, self._settings.to):
            return super().publish_nowait(batch)
        return self._log.append_nowait(batch)

    @property
    def idle(self) -> bool:
        """Whether everything that was published here so far is written or in the outboxes."""
        return self._log.idle and self._inbox.idle

    async def flush(self) -> None:
        """Wait until everything that was published here so far is written or in the outboxes."""
        await self._log.wait_returned()
        await self._inbox.flush()

    async def drain(self, deadline: float) -> None:
        """Take no more, and fan out what was taken once it is back; wait for that until ``deadline``."""
        self._draining = True
        self._patience.drain(deadline)
        with trio.move_on_at(deadline):
            await self._log.wait_returned()
        await self._inbox.flush()

    def close(self) -> None:
        """End the broadcaster and stop reading; what was not fanned out yet is in the log."""
        self._scope.cancel()
        self._inbox.close()
        self._let_go()

    async def broadcast(self) -> None:
        """Fan out what the log brings until :meth:`close`."""
        try:
            await super().broadcast()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._log.close()
        if self.shared_presence is not None and not self._has_ended:
            self._has_ended = True
            self.shared_presence.close()

    # What the log asks of it.

    def opened(self, place: Place, past: Sequence[Remembered]) -> None:
        """Take notice of where the room is, and of what was said last before that."""
        self.history.restart(place if not past else Place(place.epoch, past[0].offset))
        for offset, count, frames, age in past:
            if (
                offset != self.history.offset
            ):  # a piece is missing: what comes before it can't be resumed from
                self.history.restart(Place(place.epoch, offset))
            self.history.add(Batch(Origin.KNOWN, frames, count), trio.current_time() - age)
        if self.history.offset != place.offset:
            self.history.restart(place)
        self._opened.set()
        waiting, self._when_open = self._when_open, []
        for begin in waiting:
            begin()

    def deliver(self, batch: Batch) -> bool:
        """Take what comes next, and return whether there is space for more."""
        return self._inbox.offer(batch)

    @property
    def has_space(self) -> bool:
        """Whether half of what may wait here is free."""
        return self._inbox.has_space

    # What the registry asks of it.

    def when_open(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` as soon as it is known where the room is."""
        if self._opened.is_set():
            begin()
        else:
            self._when_open.append(begin)

    async def wait_open(self) -> None:
        """Wait until it is known where the room is, but no longer than the engine is waited for."""
        if not self._opened.is_set():
            patience = self._patience_to_open
            with trio.move_on_after(patience if patience < math.inf else 5.0):
                await self._opened.wait()

    # The fan-out.

    def _count(self, took: float) -> int:
        return 0 if self._taken[0].source is Origin.KNOWN else super()._count(took)

    async def _fan_out(self) -> dict[Outbox, Batch]:
        first = self._taken[0]
        held: dict[Outbox, Batch] = {}
        if isinstance(first, Jump):
            self._jump(first)
        elif first.source is Origin.KNOWN:
            self.history.add(first)
        else:
            held = await super()._fan_out()
        if self._inbox.has_space:
            self._log.on_space()
        return held

    def _jump(self, jump: Jump) -> None:
        """Go on from another place, and tell those who understand it what is missing."""
        self.history.restart(jump.place)
        if jump.missed == 0:
            return
        for outbox in self.members.values():
            if outbox.tell is None:
                continue
            if outbox.state is State.DIRECT:
                outbox.fall_behind()  # type: ignore[attr-defined]
            if outbox.state is State.QUEUEING:
                outbox.append(Notice(outbox.tell, jump.place, jump.missed))
