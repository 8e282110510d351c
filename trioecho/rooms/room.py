"""
A room: who is in it, and the broadcaster that gives everybody in it the same messages in the same order.

What decides its speed is how messages gather. A fan-out costs much the same whether it carries one message or
a hundred, because what costs is the system call for each member. So everything that has arrived goes out as
one write. That alone does not help when a fan-out to a few hundred takes a millisecond and messages come in
one by one: each would be fanned out alone, the room would fall behind, and only then would there be something
to join. Therefore a room under load waits for more, as long as its last fan-out took, five milliseconds at
most: the latency of one fan-out buys that the next carries twice as much. Two things bound the price. A
message that comes alone never waits: only a fan-out of several lets the next one gather. And gathering ends
when the scheduler has gone round a few times without bringing anything, because then everybody waits for us.

There are three bounds on what one fan-out joins, each explained where it is named below: batches, bytes, and
for rooms in which everybody talks, their product.

The broadcaster waits in two places only: for messages, and, under the policy ``wait``, for slow members. All
who are full wait out one deadline together, not one after the other; whoever is still full then is
disconnected. A stall in one room holds up no other, because each has a broadcaster of its own.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import ClassVar, Protocol

import trio

from trioecho.counters import Counters
from trioecho.disconnect import SLOW
from trioecho.rooms.batch import Batch, Encoding, Origin
from trioecho.rooms.fan_out import fan_out, offer
from trioecho.rooms.inbox import Inbox
from trioecho.rooms.outbox import Outbox, Owner
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
"""And batches times bytes, because each sender's own messages are cut out of what it gets: where everybody
talks, so much is copied for them, in some four milliseconds."""

LONGEST_GATHER = 0.005
"""The longest that messages are held back to be joined (seconds); only under load."""

IDLE_PASSES = 3
"""Gathering ends when so many passes of the scheduler in a row brought nothing new."""


class Member(Owner, Protocol):
    """A subscriber in a room: a client of any kind, or the application. None of its methods waits."""

    kind: ClassVar[str]
    """``websocket``, ``events`` or ``application``."""

    @property
    def outbox(self) -> Outbox:
        """Where the room's messages go."""


class Room:
    """
    One room. Its task is :meth:`broadcast`.

    Attributes:
        name: the path in the URL, percent-decoded.
        members: who is in it, in the order they came, and where the room's messages for each go.
        holds: how many keep the room open, whether anybody is in it or not.
        messages, bytes: what has been fanned out, each message once; bytes of frames.
        dropped: what a dropping policy took from members who have left, counted for each.

    """

    def __init__(
        self, name: str, limits: Settings, counters: Counters | None = None, *, draining: bool = False
    ) -> None:
        self.name = name
        self.members: dict[Member, Outbox] = {}
        self.holds = 0
        self.messages = self.bytes = self.dropped = 0
        self._counters = Counters() if counters is None else counters
        self._scope = trio.CancelScope()
        self._limits = limits
        self._inbox = Inbox(min(INBOX_BYTES, limits.max_pending_bytes))
        self._fan_out_bytes = min(FAN_OUT_BYTES, limits.max_pending_bytes)
        # How many members have an outbox of each encoding: nearly always there is one.
        self._encodings: dict[Encoding | None, int] = {}
        self._draining = draining
        self._drain_from = 0.0
        self._drain_by = math.inf
        self._progress: trio.Event | None = None
        # What is being fanned out.
        self._taken: list[Batch] = []
        # What the last fan-out took (seconds), if it had several messages; the next may gather as long.
        self._last_cost = 0.0

    def add(self, member: Member) -> None:
        """Let ``member`` in: it gets what is fanned out from now on."""
        outbox = self.members[member] = member.outbox
        self._encodings[outbox.encoding] = self._encodings.get(outbox.encoding, 0) + 1

    def remove(self, member: Member) -> None:
        """Let ``member`` go; harmless if it is not there."""
        outbox = self.members.pop(member, None)
        if outbox is not None:
            self.dropped += outbox.dropped
            self._encodings[outbox.encoding] -= 1
            if not self._encodings[outbox.encoding]:
                del self._encodings[outbox.encoding]
        self.on_space()

    async def publish(self, batch: Batch) -> bool:
        """
        Hand over a batch, and return whether it was taken: what is taken is delivered.

        Waits while the room is full (backpressure), not until the batch is delivered. A room that drains
        takes none, and neither does one that has ended because nobody is in it or its broadcaster failed. If
        cancelled, the batch was not taken.
        """
        if self._draining:
            self._counters.messages_late += batch.count
            await trio.lowlevel.checkpoint()  # or one who publishes in a loop would stop the shutdown
            return False
        return await self._inbox.put(batch)

    async def flush(self) -> None:
        """Wait until everything that has been published so far is written or in the outboxes."""
        await self._inbox.flush()

    async def drain(self, deadline: float) -> None:
        """
        Take no more, and fan out what was taken; slow members are waited for until ``deadline``.

        Each of them for half of that time at most, so that those who are held up by another can still
        take what the room holds for them.
        """
        self._draining = True
        self._drain_from, self._drain_by = trio.current_time(), deadline
        self.on_space()
        await self.flush()

    def close(self) -> None:
        """End the broadcaster, because nobody needs the room; publishers who wait are let go."""
        self._scope.cancel()

    def on_space(self) -> None:
        """Take notice that an outbox has space again, or that its client is gone."""
        if self._progress is not None:
            self._progress.set()

    async def broadcast(self) -> None:
        """Fan out what arrives until :meth:`close`: the room's task."""
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
                    self._inbox.delivered(len(self._taken))
                    self._taken.clear()
        finally:
            # Nobody may wait for what will not happen any more.
            self._inbox.close()
            self._taken.clear()

    def _count(self, took: float) -> int:
        """Count what has been fanned out, and return how many messages that were."""
        messages = size = 0
        for batch in self._taken:
            messages += batch.count
            size += batch.size
        self.messages += messages
        self.bytes += size
        self._counters.batch_messages.add(messages)
        self._counters.fan_out_seconds.add(took)
        return messages

    async def _gather(self) -> None:
        """Wait for messages, then take all that have arrived; under load, wait for more to arrive."""
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
                size += batch.size
            else:
                idle += 1
                if not until or idle > IDLE_PASSES or trio.current_time() >= until:
                    break
                await trio.lowlevel.checkpoint()
        inbox.admit()

    async def _fan_out(self) -> dict[Outbox, Batch]:
        """Give everybody what is theirs; return those who are full, each with what it still has to get."""
        recipients = recipients_of(self._taken, self._limits.to)
        for batch in self._taken:
            batch.source = Origin.FANNED_OUT
        return await fan_out(recipients, self.members, self._encodings, self._counters)

    async def _wait_for(self, held: dict[Outbox, Batch]) -> None:
        """Wait until slow members have taken what is theirs; those who take too long are disconnected."""
        while held:
            self._progress = trio.Event()
            # Before the first wait too: some may have made space while the fan-out went on.
            for outbox, batch in list(held.items()):
                if offer(outbox, batch):
                    del held[outbox]
                elif trio.current_time() >= self._patience(outbox):
                    del held[outbox]
                    outbox.disconnect(SLOW, batch)
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
        if self._draining:
            share = (self._drain_by - self._drain_from) / 2
            patience = min(patience, max(since, self._drain_from) + share, self._drain_by)
        return patience
