"""
One client's bounded outbound queue, and what happens at its bound.

An outbox has four states, and only ever moves down this list or between the first two:

- ``DIRECT``: the client keeps up. Nothing is queued; a fan-out writes each batch straight to its wire. Only
  a :class:`~trioecho.rooms.direct_outbox.DirectOutbox` is ever in this state.
- ``QUEUEING``: batches wait in a memory channel until somebody takes them.
- ``DRAINING``: it takes no more; what is queued is still delivered.
- ``CLOSED``: it takes no more, and what was queued is forgotten and counted as unsent.

A member that understands it is told, in their place, how many messages were dropped. And one that comes back
to a place in the past gets the first part of it in its queue; the rest follows when the queue is empty,
before the outbox takes anything else.

The channel is made with the first batch that has to wait, because an idle client should cost little memory.
It has no bound in batches; the outbox bounds it in bytes, which is what memory is made of. What is counted
for a batch is what it costs to hold it once, so a crowd of slow clients that wait for the same batches holds
less than the sum of their pending bytes, and never much more.

At the bound the policy ``when_slow`` decides: the batch is refused and the room waits, the client is
disconnected, or something is dropped. An outbox never waits itself. Whatever it takes is accounted for in
one of three numbers: ``sent``, ``dropped`` or ``unsent``.
"""

from __future__ import annotations

import math
from enum import Enum

import trio

from trioecho.disconnect import FULL, Disconnect
from trioecho.memory import Memory
from trioecho.rooms.batch import Batch, Encoding
from trioecho.rooms.news import News
from trioecho.rooms.notice import Notice, Tell
from trioecho.rooms.owner import Owner
from trioecho.rooms.unqueued import Unqueued
from trioecho.settings import Settings

__all__ = ["Outbox", "State"]


class State(Enum):
    """Where an outbox is in its life."""

    DIRECT = "direct"
    QUEUEING = "queueing"
    DRAINING = "draining"
    CLOSED = "closed"


class Outbox:
    """
    The queue of ``owner``, which takes its batches with :meth:`receive`; ``memory`` counts what waits.

    It never holds more than ``max_pending_bytes``, or one batch: an empty outbox takes any batch. A notice of
    what was dropped may come on top.

    Attributes:
        state: one of four, above.
        encoding: in which form a fan-out writes batches; ``None`` (frames) also if it only queues them.
        context: ``None`` if nothing is compressed for it; else the number of the beginning of its room's
            :class:`~trioecho.rooms.compression.Context` that it is in step with, or 0.
        pending_bytes: what waits: queued, or being written.
        full_since: when the outbox was first full (trio time); ``None`` once it has caught up, which is
            when everything has been taken that was pending then.
        sent, dropped: messages that were taken, and that were dropped by policy.
        tell: how to tell the owner what was dropped; ``None``: it is not told.
        past: gives what is not queued yet of what comes before all that is fanned out, and says its place.

    """

    __slots__ = (
        "_changed",
        "_discarded",
        "_gap",
        "_memory",
        "_owner",
        "_queue",
        "_settings",
        "_to_catch_up",
        "context",
        "dropped",
        "encoding",
        "full_since",
        "past",
        "pending_bytes",
        "sent",
        "state",
        "tell",
    )

    def __init__(self, owner: Owner, settings: Settings, memory: Memory | None = None) -> None:
        self.state = State.QUEUEING
        self.encoding: Encoding | None = None
        self.context: int | None = None
        self.pending_bytes = self.sent = self.dropped = self._discarded = 0
        self.full_since: float | None = None
        self._to_catch_up = 0
        self._settings = settings
        self._memory = memory
        # Let go when it is closed: the two point at each other, and must not wait for the cyclic collector.
        self._owner: Owner | None = owner
        # What comes through it is a batch, or None to wake the receiver without one.
        self._queue: (
            tuple[trio.MemorySendChannel[Batch | None], trio.MemoryReceiveChannel[Batch | None]] | None
        ) = None
        self._changed: trio.Event | None = None
        self.tell: Tell | None = None
        self.past: Unqueued | None = None
        # What was dropped and is not told yet: before all that is queued, or with drop-newest after it.
        self._gap: Notice | None = None

    def enqueue(self, batch: Batch) -> bool:
        """
        Queue a batch, or do what the policy says.

        False means that the outbox is full and the room should wait (policy ``wait``); the batch is then
        still the caller's. An outbox that takes no more forgets it.
        """
        if self.state is not State.QUEUEING:
            return True
        if self.pending_bytes and self.pending_bytes + batch.cost > self._settings.max_pending_bytes:
            return self._at_the_bound(batch)
        self.append(batch)
        return True

    def append(self, batch: Batch) -> None:
        """Queue a batch, whatever the bound."""
        if self._queue is None:
            self._queue = trio.open_memory_channel[Batch | None](math.inf)
        if self._gap is not None and self._settings.when_slow == "drop-newest":
            self._queue[0].send_nowait(self._gap)
            self._gap = None
        if self._memory is not None:
            batch.hold(self._memory)
        self._queue[0].send_nowait(batch)
        self.pending_bytes += batch.cost

    def _drop(self, batch: Batch) -> None:
        self.dropped += batch.count
        if isinstance(batch, News):
            batch.on_lost(self)
        elif self.tell is not None:
            if self._gap is None:
                self._gap = Notice(self.tell)
                self.pending_bytes += self._gap.cost
            self._gap.add(batch)

    def _at_the_bound(self, batch: Batch) -> bool:
        policy = self._settings.when_slow
        if policy == "wait":
            if self._memory is not None:
                batch.hold(self._memory)  # the room keeps it
            if self.full_since is None:
                self.full_since = trio.current_time()
                self._to_catch_up = self.pending_bytes
            return False
        if policy == "disconnect":
            self.disconnect(FULL, batch)
            return True
        if not self.dropped and self._owner is not None:
            self._owner.on_first_drop()
        if policy == "drop-oldest":
            while self.pending_bytes + batch.cost > self._settings.max_pending_bytes:
                oldest = self._take_one()
                if oldest is None:
                    break
                self.pending_bytes -= oldest.cost
                self._drop(oldest)
            else:
                self.append(batch)
                return True
        self._drop(batch)
        return True

    def _take_next(self) -> Batch | None:
        """Take what is to be written next, if there is anything."""
        batch = None
        if self._gap is None or self._settings.when_slow == "drop-newest":
            batch = self._take_one()
        if batch is None:
            batch, self._gap = self._gap, None
        if batch is None and self.past is not None:
            batch = self.past()
            if batch is not None:
                self.pending_bytes += batch.cost
        return batch

    def _take_one(self) -> Batch | None:
        if self._queue is None:
            return None
        try:
            return self._queue[1].receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return None

    async def receive(self) -> Batch | None:
        """
        Take the next batch; ``None`` means that :meth:`wake` was called meanwhile.

        Raises:
            trio.EndOfChannel: the outbox is closed, and everything that was to be delivered has been.

        If cancelled, nothing was taken.

        """
        if self._gap is not None or self.past is not None:
            await trio.lowlevel.checkpoint()
            if (following := self._take_next()) is not None:
                self._taken(following.count, following.cost)
                return following
        if self._queue is None:
            self._queue = trio.open_memory_channel[Batch | None](math.inf)
            if self.state is not State.QUEUEING:
                self._queue[0].close()
        batch = await self._queue[1].receive()
        if batch is not None:
            self._taken(batch.count, batch.cost)
        return batch

    def wake(self) -> None:
        """Let a task that waits in :meth:`receive` go on without a batch: it has something else to do."""
        if self._queue is not None and self._queue[0].statistics().tasks_waiting_receive:
            self._queue[0].send_nowait(None)

    def _taken(self, count: int, cost: int) -> None:
        """Account for messages that are delivered."""
        self.sent += count
        self.pending_bytes -= cost
        self._to_catch_up -= cost
        if self.full_since is not None:
            if self._owner is not None:
                self._owner.on_space()
            if self._to_catch_up <= 0:
                self.full_since = None
        if self._changed is not None:
            self._changed.set()

    @property
    def owes(self) -> bool:
        """Whether something is still to be written."""
        return (self.pending_bytes > 0 or self.past is not None) and self.state is not State.CLOSED

    async def wait_caught_up(self) -> None:
        """Wait until nothing is pending, or the outbox is closed."""
        while self.owes:
            await self.wait_taken()

    async def wait_taken(self) -> None:
        """Wait until something of what is pending has been taken, or the outbox is closed."""
        if self._changed is None or self._changed.is_set():
            self._changed = trio.Event()
        await self._changed.wait()

    def disconnect(self, why: Disconnect, batch: Batch) -> None:
        """Disconnect the client, which is too slow for ``batch``; the batch counts as unsent."""
        self._discarded += batch.count
        if self._owner is not None:
            self._owner.disconnect(why)

    def close(self, *, drain: bool = False) -> None:
        """
        Take no more.

        With ``drain``, what is queued can still be delivered. Otherwise it is forgotten and counts as unsent,
        and so does what has been queued for a drain. Closing twice is harmless.
        """
        if drain:
            if self.state in (State.DIRECT, State.QUEUEING):
                self.state = State.DRAINING
                if self._queue is not None:
                    self._queue[0].close()
            return
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        if self._queue is not None:
            self._queue[0].close()
        self.past = None
        while (batch := self._take_next()) is not None:
            self.pending_bytes -= batch.cost
            self._discarded += batch.count
        if self._changed is not None:
            self._changed.set()
        owner, self._owner = self._owner, None
        if self.full_since is not None and owner is not None:
            owner.on_space()

    @property
    def owner(self) -> Owner | None:
        """Whose it is; ``None`` once it is closed."""
        return self._owner

    @property
    def unsent(self) -> int:
        """Messages left over: queued when it was closed, or one too many for it."""
        return self._discarded
