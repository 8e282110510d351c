"""
One client's bounded outbound queue, and what happens at its bound.

An outbox has four states, and only ever moves down this list or between the first two:

- ``DIRECT``: the client keeps up. Nothing is queued; a fan-out writes each batch straight to its wire. Only
  a :class:`~trioecho.rooms.direct_outbox.DirectOutbox` is ever in this state.
- ``QUEUEING``: batches wait in a memory channel until somebody takes them.
- ``DRAINING``: it takes no more; what is queued is still delivered.
- ``CLOSED``: it takes no more, and what was queued is forgotten and counted as unsent.

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
from typing import Protocol

import trio

from trioecho.disconnect import FULL, Disconnect
from trioecho.rooms.batch import Batch, Encoding
from trioecho.settings import Settings

__all__ = ["Outbox", "Owner", "State"]


class State(Enum):
    """Where an outbox is in its life."""

    DIRECT = "direct"
    QUEUEING = "queueing"
    DRAINING = "draining"
    CLOSED = "closed"


class Owner(Protocol):
    """What an outbox needs of the one it belongs to. None of these waits."""

    def start_writer(self) -> None:
        """Start a task that runs :meth:`DirectOutbox.drain`; never called for an outbox without a wire."""

    def on_first_drop(self) -> None:
        """The first message was dropped."""

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect the client."""

    def on_space(self) -> None:
        """There is space again in an outbox that was full."""


class Outbox:
    """
    The queue of ``owner``, which takes its batches with :meth:`receive`.

    It never holds more than ``max_pending_bytes``, or one batch: an empty outbox takes any batch.

    Attributes:
        state: one of four, above.
        encoding: in which form a fan-out writes batches; ``None`` (frames) also if it only queues them.
        pending_bytes: what waits: queued, or being written.
        full_since: when the outbox was first full (trio time); ``None`` once it has caught up, which is
            when everything has been taken that was pending then.
        sent, dropped: messages that were taken, and that were dropped by policy.

    """

    __slots__ = (
        "_caught_up",
        "_discarded",
        "_limits",
        "_owner",
        "_queue",
        "_to_catch_up",
        "dropped",
        "encoding",
        "full_since",
        "pending_bytes",
        "sent",
        "state",
    )

    def __init__(self, owner: Owner, limits: Settings) -> None:
        self.state = State.QUEUEING
        self.encoding: Encoding | None = None
        self.pending_bytes = self.sent = self.dropped = self._discarded = 0
        self.full_since: float | None = None
        self._to_catch_up = 0
        self._limits = limits
        # Let go when it is closed: the two point at each other, and must not wait for the cyclic collector.
        self._owner: Owner | None = owner
        # What comes through it is a batch, or None to wake the receiver without one.
        self._queue: (
            tuple[trio.MemorySendChannel[Batch | None], trio.MemoryReceiveChannel[Batch | None]] | None
        ) = None
        self._caught_up: trio.Event | None = None

    def enqueue(self, batch: Batch) -> bool:
        """
        Queue a batch, or do what the policy says.

        False means that the outbox is full and the room should wait (policy ``wait``); the batch is then
        still the caller's. An outbox that takes no more forgets it.
        """
        if self.state is not State.QUEUEING:
            return True
        if self.pending_bytes and self.pending_bytes + batch.cost > self._limits.max_pending_bytes:
            return self._at_the_bound(batch)
        self._append(batch)
        return True

    def _append(self, batch: Batch) -> None:
        if self._queue is None:
            self._queue = trio.open_memory_channel[Batch | None](math.inf)
        self._queue[0].send_nowait(batch)
        self.pending_bytes += batch.cost

    def _at_the_bound(self, batch: Batch) -> bool:
        policy = self._limits.when_slow
        if policy == "wait":
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
            while self.pending_bytes + batch.cost > self._limits.max_pending_bytes:
                oldest = self._take_one()
                if oldest is None:
                    break
                self.pending_bytes -= oldest.cost
                self.dropped += oldest.count
            else:
                self._append(batch)
                return True
        self.dropped += batch.count
        return True

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
        if not self.pending_bytes and self._caught_up is not None:
            self._caught_up.set()

    async def wait_caught_up(self) -> None:
        """Wait until nothing is pending, or the outbox is closed."""
        while self.pending_bytes and self.state is not State.CLOSED:
            if self._caught_up is None or self._caught_up.is_set():
                self._caught_up = trio.Event()
            await self._caught_up.wait()

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
        while (batch := self._take_one()) is not None:
            self.pending_bytes -= batch.cost
            self._discarded += batch.count
        if self._caught_up is not None:
            self._caught_up.set()
        owner, self._owner = self._owner, None
        if self.full_since is not None and owner is not None:
            owner.on_space()

    @property
    def unsent(self) -> int:
        """Messages left over: queued when it was closed, or one too many for it."""
        return self._discarded
