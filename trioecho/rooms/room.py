"""
A room: who is in it, and the broadcaster that gives everybody in it the same messages in the same order.

How messages gather to go out together is :mod:`~trioecho.rooms.gathering`'s affair, and a message that comes
alone has a shorter way, see :mod:`~trioecho.rooms.alone`.

The broadcaster waits in two places only: for messages, and, under the policy ``wait``, for slow members; how
long is a matter of the room's :class:`~trioecho.rooms.patience.Patience`. A stall in one room holds up no
other, because each has a broadcaster of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import trio

from trioecho.counters import Counters
from trioecho.memory import Memory
from trioecho.rooms.alone import comes_alone
from trioecho.rooms.batch import Batch, Encoding, Origin
from trioecho.rooms.bounds import FAN_OUT_BYTES, INBOX_BYTES
from trioecho.rooms.compression import Compressor, RoomCompression
from trioecho.rooms.elsewhere import SharedPresence
from trioecho.rooms.exclusion import recipients_without
from trioecho.rooms.fan_out import fan_out
from trioecho.rooms.gathering import gather
from trioecho.rooms.headed import as_headed
from trioecho.rooms.heard import sources_of
from trioecho.rooms.history import History
from trioecho.rooms.inbox import Inbox
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.patience import Patience
from trioecho.rooms.presence import Presence
from trioecho.rooms.recipients import Recipients, is_for_everybody, recipients_of
from trioecho.rooms.slow_history import SlowHistory
from trioecho.settings import Settings

__all__ = ["Room"]


class Room:
    """
    One room. Its task is :meth:`broadcast`.

    Attributes:
        name: the path in the URL, percent-decoded.
        members: who is in it, in the order they came, and where the room's messages for each go.
        named: the members that have a name, in the order they came; nobody, if names are told to nobody.
        coming: who will be a member, and still gets what was said before.
        presence: what tells members who is there, if one has asked.
        shared_presence: what tells other servers who is here, and who is there, if the room is shared.
        history: its numbered messages, which outlive it.
        excluding: whether the application has ever published to all but some.
        sourced: how many ask where messages come from.
        holds: how many keep the room open, whether anybody is in it or not.
        messages, bytes: what has been fanned out, each message once; bytes of frames.
        dropped: what a dropping policy took from members who have left, counted for each.

    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        counters: Counters,
        history: History,
        *,
        memory: Memory | None = None,
        compressor: Compressor | None = None,
        slow: SlowHistory | None = None,
        draining: bool = False,
    ) -> None:
        self.name = name
        self.history = history
        self.members: dict[Occupant, Outbox] = {}
        self.named: dict[Occupant, None] = {}
        self.coming: set[Occupant] = set()
        self.holds = self.sourced = 0
        self.excluding = False
        self.presence: Presence | None = None
        self.shared_presence: SharedPresence | None = None
        self.messages = self.bytes = self.dropped = 0
        self._counters = counters
        self._scope = trio.CancelScope()
        self._settings = settings
        self._inbox = Inbox(min(INBOX_BYTES, settings.max_pending_bytes), memory)
        self._fan_out_bytes = min(FAN_OUT_BYTES, settings.max_pending_bytes)
        # How many members have an outbox of each encoding: nearly always there is one.
        self._encodings: dict[Encoding | None, int] = {}
        self._compressor = Compressor(settings, self._counters) if compressor is None else compressor
        self.compression: RoomCompression | None = None  # since a member could inflate
        self._draining = draining
        self._patience = Patience(settings, SlowHistory() if slow is None else slow)
        # What is being fanned out.
        self._taken: list[Batch] = []
        # What the last fan-out took (seconds), if it had several messages; the next may gather as long.
        self._last_cost = 0.0

    @property
    def size(self) -> int:
        """How many are in it, with those who are coming in."""
        return len(self.members) + len(self.coming)

    def add(self, member: Occupant) -> None:
        """Let ``member`` in: it gets what is fanned out from now on."""
        self.coming.discard(member)
        outbox = self.members[member] = member.outbox
        self._encodings[outbox.encoding] = self._encodings.get(outbox.encoding, 0) + 1
        if outbox.context is not None:
            if self.compression is None:
                self.compression = RoomCompression(self._compressor)
            self.compression.add(outbox.encoding)
        if member.name is not None and self._settings.presence:
            self.named[member] = None
        if self.presence is not None:
            self.presence.came(member)

    def remove(self, member: Occupant) -> None:
        """Let ``member`` go; harmless if it is not there."""
        if self.presence is not None:
            self.presence.forget(member, member.outbox)
        self.coming.discard(member)
        self.named.pop(member, None)
        outbox = self.members.pop(member, None)
        if outbox is not None:
            self.dropped += outbox.dropped
            self._encodings[outbox.encoding] -= 1
            if not self._encodings[outbox.encoding]:
                del self._encodings[outbox.encoding]
            if outbox.context is not None and self.compression is not None:
                self.compression.remove(outbox.encoding)
            self.on_space(outbox)

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
        if self._inbox.asleep and comes_alone(batch, self.members):
            self._taken.append(batch)
            try:
                await self._deliver()  # without a checkpoint
            except Exception as error:
                self._inbox.fail(error)
            self._taken.clear()
            return True
        return await self._inbox.put(batch)

    def publish_nowait(self, batch: Batch) -> bool:
        """
        Do as :meth:`publish`, without waiting.

        Raises:
            trio.WouldBlock: the room is full, and the batch was not taken.

        """
        if self._draining:
            self._counters.messages_late += batch.count
            return False
        return self._inbox.put_nowait(batch)

    @property
    def idle(self) -> bool:
        """Whether everything that has been published so far is written or in the outboxes."""
        return self._inbox.idle

    async def flush(self) -> None:
        """Wait until everything that has been published so far is written or in the outboxes."""
        await self._inbox.flush()

    async def drain(self, deadline: float) -> None:
        """
        Take no more, and fan out what was taken; slow members are waited for until ``deadline``.

        Each of them for half of that time at most.
        """
        self._draining = True
        self._patience.drain(deadline)
        await self.flush()

    def close(self) -> None:
        """
        End the broadcaster, because nobody needs the room; publishers who wait are let go.

        What was taken and not yet fanned out goes to the history: whoever left may come back for it.
        """
        self._scope.cancel()
        taken = [batch for batch in self._taken if batch.source is not Origin.FANNED_OUT]
        while (batch := self._inbox.take()) is not None:
            taken.append(batch)
        self._inbox.close()
        for batch in taken:
            if batch.count and is_for_everybody(batch, self._settings.to):
                self.history.add(batch)

    def on_space(self, outbox: Outbox) -> None:
        """Take notice that an outbox has space again, or that its client is gone."""
        self._patience.on_space(outbox)

    def when_open(self, begin: Callable[[], None]) -> None:
        """Call ``begin`` as soon as the room knows its place: at once, unless it is shared."""
        begin()

    async def wait_open(self) -> None:
        """Wait until the room knows its place, which it does unless it is shared."""

    async def broadcast(self) -> None:
        """Fan out what arrives until :meth:`close`: the room's task."""
        try:
            with self._scope:
                while True:
                    await gather(self._inbox, self._taken, self._fan_out_bytes, self._last_cost)
                    if not self._taken:
                        continue  # closed as they came; what is waited for next is the end
                    held = await self._deliver()
                    if held:
                        await self._patience.wait_for(held, self.members)
                    del held  # or it would be, until there are messages again
                    self._inbox.delivered(len(self._taken))
                    self._taken.clear()
        finally:
            # Nobody may wait for what will not happen any more.
            self._inbox.close()
            self._taken.clear()

    async def _deliver(self) -> dict[Outbox, Batch]:
        """Fan out what was taken, and count it; return who is full, each with what it still has to get."""
        started = perf_counter()
        held = await self._fan_out()
        took = perf_counter() - started
        self._last_cost = took if self._count(self._taken, took) > 1 else 0.0
        return held

    def _count(self, fanned_out: list[Batch], took: float) -> int:
        """Count what has been fanned out, and return how many messages that were."""
        messages = size = 0
        for batch in fanned_out:
            messages += batch.count
            size += batch.size
        self.messages += messages
        self.bytes += size
        self._counters.batch_messages.add(messages)
        self._counters.fan_out_seconds.add(took)
        return messages

    async def _fan_out(self) -> dict[Outbox, Batch]:
        """Give everybody what is theirs; return those who are full, each with what it still has to get."""
        recipients = self._remember(self._taken)
        for batch in self._taken:
            batch.source = Origin.FANNED_OUT
        return await fan_out(recipients, self.members, self._encodings, self._counters, self.compression)

    def _remember(self, taken: list[Batch]) -> Recipients:
        """Decide who gets what of what was taken, and give it its place in the room."""
        headed = as_headed in self._encodings
        everybody, senders = recipients = self._decide(taken, headed=headed)
        if everybody is not None:
            self.history.add(everybody)
            if headed:
                for theirs in senders.values():
                    if theirs is not None:
                        theirs.epoch, theirs.offset = everybody.epoch, everybody.offset
            if self.sourced:
                everybody.sources = sources_of(taken, self._settings.to)
        return recipients

    def _decide(self, taken: list[Batch], *, headed: bool) -> Recipients:
        """Decide who gets what of what was taken."""
        decide = recipients_without if self.excluding else recipients_of
        return decide(taken, self._settings.to, headed=headed)
