"""
A room: who is in it, and the broadcaster that gives everybody in it the same messages in the same order.

Who gets what is decided in plain functions; the broadcaster waits in two places only: for messages to
arrive, and, under the policy ``wait``, for the slow.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import Any, ClassVar, Protocol

import trio

from trioecho.counters import Counters
from trioecho.rooms.batch import Batch
from trioecho.rooms.inbox import Inbox
from trioecho.rooms.outbox import Outbox, Owner, offer_to_all
from trioecho.rooms.recipients import recipients_of
from trioecho.settings import Settings

__all__ = ["Member", "Room"]

INBOX_BYTES = 4 * 2**20
"""What may wait in a room to be fanned out (bytes), or as much as for one client, if that is less; beyond
that its publishers wait in a line, which their clients feel as TCP backpressure. One batch may go over it: a
read of a client (64 KiB), or a larger message."""

FAN_OUT_BATCHES = 256
"""Batches that one fan-out joins: enough that a write's fixed cost is spread thin."""

FAN_OUT_BYTES = 512 * 1024
"""And bytes: much more than a socket takes at once would only move the queue from here to the outboxes. With
64 messages of 4 KiB in flight, half as much cost 15 % more CPU, and twice as much 5 %."""

FAN_OUT_CUTS = 8 * 2**20
"""And batches times bytes, because each sender's own batch is cut out of what it gets: where everybody talks,
so much is copied for them before the first write, in some four milliseconds."""

LONGEST_GATHER = 0.005
"""The longest that messages are held back to be joined (seconds); only under load."""

IDLE_PASSES = 3
"""Gathering ends when so many passes of the scheduler in a row brought nothing new."""

STRIDE_CLIENTS = 200
STRIDE_BYTES = 2 * 2**20
"""A fan-out lets other tasks run after so many clients, or bytes written: about a millisecond."""


class Member(Owner, Protocol):
    """A subscriber in a room: a client of any kind, or the application. None of its methods waits."""

    kind: ClassVar[str]
    """``websocket``, ``events`` or ``application``."""

    @property
    def outbox(self) -> Outbox:
        """Where the room's messages go."""


class Room:
    """
    One room. Its task is :meth:`broadcast`; a stall in it holds up no other room.

    Attributes:
        name: the path in the URL, percent-decoded.
        members: who is in it, in the order they came, and where the room's messages for each go.
        messages, bytes: what has been fanned out, each message once; bytes of frames.
        dropped: what a dropping policy took from those who are gone, counted for each.

    """

    def __init__(self, name: str, limits: Settings, counters: Counters | None = None) -> None:
        self.name = name
        self.members: dict[Member, Outbox] = {}
        self.messages = self.bytes = self.dropped = 0
        self._counters = Counters() if counters is None else counters
        self._scope = trio.CancelScope()
        self._limits = limits
        self._inbox = Inbox(min(INBOX_BYTES, limits.max_pending_bytes))
        self._fan_out_bytes = min(FAN_OUT_BYTES, limits.max_pending_bytes)
        self._finishing = False
        self._finish_from = 0.0
        self._finish_by = math.inf
        self._progress: trio.Event | None = None
        # What is being fanned out.
        self._taken: list[Batch] = []
        # What the last fan-out took (seconds), if it had several messages; the next may gather as long.
        self._last_cost = 0.0

    async def publish(self, batch: Batch) -> None:
        """
        Hand over a batch; waits while the room is full (backpressure), not until it is delivered.

        A room that is finishing, or ends meanwhile because nobody is left, forgets the batch. If
        cancelled, the batch was not taken.
        """
        if self._finishing:
            await trio.lowlevel.checkpoint()  # or who publishes in a loop would stop the shutdown
        else:
            await self._inbox.put(batch)

    async def flush(self) -> None:
        """Wait until all that has been published so far is written or in the outboxes."""
        flushed = trio.Event()
        await self._inbox.put(Batch(None, b"", 0, flushed))
        await flushed.wait()

    async def finish(self, deadline: float) -> None:
        """
        Take no more, and fan out what was taken; the slow are waited for until ``deadline``.

        Each of them for half of that time at most, so that those who are held up by another can still
        take what the room holds for them.
        """
        self._finishing = True
        self._finish_from, self._finish_by = trio.current_time(), deadline
        self.on_space()
        await self.flush()

    def stop(self) -> None:
        """Stop the broadcaster, because nobody is in the room any more; publishers who wait are let go."""
        self._scope.cancel()

    def on_space(self) -> None:
        """Take notice that an outbox has room again, or that its client is gone."""
        if self._progress is not None:
            self._progress.set()

    async def broadcast(self) -> None:
        """Fan out what arrives until :meth:`stop`: the room's task."""
        try:
            with self._scope:
                while True:
                    await self._gather()
                    started = perf_counter()
                    held = await self._fan_out()
                    took = perf_counter() - started
                    self._last_cost = took if self._count(took) > 1 else 0.0
                    if held:
                        await self._wait_for(held)
                    self._flush_taken()
        finally:
            # Nobody may wait for a mark that no one will reach.
            self._taken += self._inbox.close()
            self._flush_taken()

    def _count(self, took: float) -> int:
        """Count what has been fanned out, and return how many messages that were."""
        messages = size = 0
        for batch in self._taken:
            messages += batch.count
            size += len(batch.frames)
        if messages:
            self.messages += messages
            self.bytes += size
            self._counters.batch_messages.add(messages)
            self._counters.fan_out_seconds.add(took)
        return messages

    def _flush_taken(self) -> None:
        for batch in self._taken:
            if batch.flushed is not None:
                batch.flushed.set()
        self._taken.clear()

    async def _gather(self) -> None:
        """
        Wait for messages, then take all that have arrived.

        Under load they gather for as long as the last fan-out took: joining them costs less than another
        fan-out each. A lone message never waits.
        """
        taken, inbox = self._taken, self._inbox
        await inbox.wait()
        until = 0.0
        if self._last_cost:
            until = trio.current_time() + min(self._last_cost, LONGEST_GATHER)
        size = idle = 0
        while (
            size < self._fan_out_bytes and len(taken) < FAN_OUT_BATCHES and len(taken) * size < FAN_OUT_CUTS
        ):
            if batch := inbox.take():
                idle = 0
                taken.append(batch)
                size += len(batch.frames)
            else:
                idle += 1
                if not until or idle > IDLE_PASSES or trio.current_time() >= until:
                    break
                await trio.lowlevel.checkpoint()
        inbox.let_in()

    async def _fan_out(self) -> dict[Outbox, Batch]:
        """Give everybody what is theirs; return those who are full, each with what it still has to get."""
        everything, apart = recipients_of(self._taken, self._limits.to)
        held: dict[Outbox, Batch] = {}
        others: dict[Any, Outbox] = self.members
        if apart:
            others = others.copy()
            served = written = 0
            for sender, batch in apart.items():
                outbox = others.pop(sender, None)
                if outbox is None or batch is None:
                    continue
                served, written = served + 1, written + batch.cost
                if served > STRIDE_CLIENTS or written > STRIDE_BYTES:
                    await trio.lowlevel.checkpoint()
                    served, written = 1, batch.cost
                self._counters.bytes_out += len(batch.frames)
                if not outbox.offer(batch):
                    held[outbox] = batch
        if everything is None:
            return held
        self._counters.bytes_out += len(everything.frames) * len(others)
        stride = STRIDE_CLIENTS
        if everything.cost * stride > STRIDE_BYTES:
            stride = max(1, STRIDE_BYTES // everything.cost)
        outboxes = tuple(others.values())
        for start in range(0, len(outboxes), stride):
            if start:
                await trio.lowlevel.checkpoint()
            for outbox in offer_to_all(outboxes[start : start + stride], everything):
                held[outbox] = everything
        return held

    async def _wait_for(self, held: dict[Outbox, Batch]) -> None:
        """Wait until the slow have taken what they were to get; who takes too long is disconnected."""
        while held:
            self._progress = trio.Event()
            # Before the first wait too: some may have made room while the fan-out went on.
            for outbox, batch in list(held.items()):
                if outbox.offer(batch):
                    del held[outbox]
                elif trio.current_time() >= self._patience(outbox):
                    del held[outbox]
                    outbox.give_up(batch)
            if held:
                with trio.move_on_at(min([self._patience(outbox) for outbox in held])):
                    await self._progress.wait()
        self._progress = None

    def _patience(self, outbox: Outbox) -> float:
        """Return until when (trio time) a full outbox may hold the room."""
        since = outbox.full_since
        if since is None:
            return trio.current_time()
        patience = since + self._limits.stall_limit
        if self._finishing:
            share = (self._finish_by - self._finish_from) / 2
            patience = min(patience, max(since, self._finish_from) + share, self._finish_by)
        return patience
