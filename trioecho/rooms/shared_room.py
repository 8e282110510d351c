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
from trioecho.rooms.batch import Batch, Origin, Reach
from trioecho.rooms.bounds import INBOX_BYTES
from trioecho.rooms.compression import Compressor
from trioecho.rooms.fan_out import fan_out
from trioecho.rooms.history import History
from trioecho.rooms.log import EndedLog, Jump, Log, Logs, Remembered
from trioecho.rooms.node_order import NodeOrder, early, of_reach
from trioecho.rooms.notice import Notice
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.outbox import Outbox, State
from trioecho.rooms.place import Place
from trioecho.rooms.recipients import is_for_everybody
from trioecho.rooms.room import Room
from trioecho.rooms.shared_inbox import SharedInbox
from trioecho.rooms.slow_history import SlowHistory
from trioecho.settings import Settings

__all__ = ["SharedRoom"]


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
        self._log: Log = logs.open(self)
        self._has_ended = False
        self._node_order = NodeOrder() if settings.order == "node" else None
        if logs.presences is not None:
            self.shared_presence = logs.presences.open(name)

    def add(self, member: Occupant) -> None:
        """Let ``member`` in, and the other servers know."""
        if self._node_order is not None:
            self._node_order.add(member, from_past=member in self.coming)
        super().add(member)
        if self.shared_presence is not None:
            self.shared_presence.came(member)

    def remove(self, member: Occupant) -> None:
        """Let ``member`` go, and the other servers know; harmless if it is not there."""
        if self.shared_presence is not None and member in self.members:
            self.shared_presence.left(member)
        if self._node_order is not None:
            self._node_order.remove(member)
        super().remove(member)

    async def publish(self, batch: Batch) -> bool:
        """Hand over a batch, as in any room; it is fanned out when the log brings it back."""
        if self._draining or not is_for_everybody(batch, self._settings.to):
            return await super().publish(batch)
        if not await self._log.append(batch):
            return False
        self._say_early(batch)
        return True

    def publish_nowait(self, batch: Batch) -> bool:
        """Do as :meth:`publish`, without waiting; raises ``trio.WouldBlock`` if that takes waiting."""
        if self._draining or not is_for_everybody(batch, self._settings.to):
            return super().publish_nowait(batch)
        if not self._log.append_nowait(batch):
            return False
        self._say_early(batch)
        return True

    def _say_early(self, batch: Batch) -> None:
        """Give a batch that the log has taken to those who need not wait for its place."""
        if self._node_order is not None:
            self._inbox.offer(early(batch))

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
        self._log = EndedLog()
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

    def _count(self, fanned_out: list[Batch], took: float) -> int:
        if fanned_out[0].source is Origin.KNOWN:
            return 0
        if self._node_order is not None:
            fanned_out = of_reach(fanned_out, Reach.EARLY)  # or what is said here would count twice
        return super()._count(fanned_out, took)

    async def _fan_out(self) -> dict[Outbox, Batch]:
        first = self._taken[0]
        held: dict[Outbox, Batch] = {}
        if isinstance(first, Jump):
            self._jump(first)
        elif first.source is Origin.KNOWN:
            self.history.add(first)
        elif self._node_order is not None:
            held = await self._fan_out_twice(self._node_order)
        else:
            held = await super()._fan_out()
        if self._inbox.has_space:
            self._log.on_space()
        return held

    async def _fan_out_twice(self, order: NodeOrder) -> dict[Outbox, Batch]:
        """Fan out what was taken to those who depend on places, and apart from it to those who don't."""
        soon, late = of_reach(self._taken, Reach.EARLY), of_reach(self._taken, Reach.LATE)
        # All is decided before the first fan-out, which takes time: who comes meanwhile has a past.
        others, placed, encodings = order.others(self.members), dict(order.placed), order.encodings()
        theirs, remembered = self._decide(soon, headed=False), self._remember(late)
        for batch in self._taken:
            batch.source = Origin.FANNED_OUT
        held = await fan_out(theirs, others, {None}, self._counters, self.compression)
        if placed:
            held |= await fan_out(remembered, placed, encodings, self._counters, self.compression)
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
