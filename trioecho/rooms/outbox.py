"""
One client's bounded outbound queue, and what happens at its bound.

While a client keeps up, nothing is queued: each batch goes send_nowait to the kernel. The memory channel and
the writer task exist only while there is a backlog, because an idle client should cost little memory and
a busy one no trip through the scheduler. The channel itself has no bound in batches; the outbox bounds
it in bytes, which is what memory is made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import trio

from trioecho.disconnect import FULL, SLOW, Disconnect
from trioecho.rooms.batch import Batch
from trioecho.settings import Settings
from trioecho.transport.wire import Wire

__all__ = ["Outbox", "Owner", "offer_to_all"]

WRITE_BYTES = 256 * 1024
"""The writer takes at most this much of a backlog at once (bytes): what it took, it can't drop any more."""

WRITE_BATCHES = 64
"""And at most so many batches: one ``writev`` takes them all (POSIX promises 16, Linux and macOS 1,024)."""


class Owner(Protocol):
    """What an outbox needs of the one it belongs to. None of these waits."""

    def start_writer(self) -> None:
        """Start a task that runs :meth:`Outbox.drain`."""

    def on_first_drop(self) -> None:
        """The first message was dropped."""

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect the client."""

    def on_space(self) -> None:
        """There is room again in an outbox that was full."""


class Outbox:
    """
    The queue of ``owner``, in front of ``wire``; without a wire, :meth:`receive` empties it.

    It never holds more than ``max_pending_bytes``, or one batch: an empty outbox takes any batch.

    Attributes:
        pending_bytes: what waits: queued, being written, or half-written.
        full_since: when the outbox was first full (trio time); ``None`` once it has caught up, which is
            when all has been taken that was pending then.
        sent, dropped: messages handed to the network, and dropped by policy.

    """

    __slots__ = (
        "_behind",
        "_caught_up",
        "_closed",
        "_discarded",
        "_forgotten",
        "_in_flight",
        "_limits",
        "_owner",
        "_queue",
        "_to_catch_up",
        "_wire",
        "dropped",
        "full_since",
        "pending_bytes",
        "sent",
    )

    def __init__(self, owner: Owner, limits: Settings, wire: Wire | None) -> None:
        self.pending_bytes = self.sent = self.dropped = self._discarded = 0
        self.full_since: float | None = None
        self._owner = owner
        self._limits = limits
        self._wire = wire
        self._closed = self._forgotten = False
        self._to_catch_up = 0
        # True while batches must queue: there is a backlog, or the wire is not open yet, or there is none.
        self._behind = True
        self._queue: tuple[trio.MemorySendChannel[Batch], trio.MemoryReceiveChannel[Batch]] | None = None
        self._in_flight: list[Batch] = []
        self._caught_up: trio.Event | None = None

    def open(self) -> None:
        """Let batches through to the wire, those first that came while the handshake was answered."""
        if self._queue is None:
            self._behind = self._closed
        else:
            self._owner.start_writer()

    def offer(self, batch: Batch) -> bool:
        """
        Take a batch: write it, queue it, or do what the policy says.

        Never waits. False means that the outbox is full and the room should wait (policy ``wait``); the
        batch is then still the caller's. A closed outbox takes everything and forgets it.
        """
        return not offer_to_all((self,), batch)

    def _queue_up(self, batch: Batch) -> bool:
        if self._closed:
            return True
        if self.pending_bytes and self.pending_bytes + batch.cost > self._limits.max_pending_bytes:
            return self._at_the_bound(batch)
        self._enqueue(batch)
        return True

    def _fall_behind(self) -> None:
        self._behind = True
        self._owner.start_writer()

    def _half_written(self, batch: Batch, left: int) -> None:
        half_written = Batch(None, b"", batch.count)
        half_written.cost = self.pending_bytes = left
        self._in_flight.append(half_written)

    def _enqueue(self, batch: Batch) -> None:
        if self._queue is None:
            self._queue = trio.open_memory_channel[Batch](math.inf)
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
            self._discarded += batch.count
            self._owner.disconnect(FULL)
            return True
        if not self.dropped:
            self._owner.on_first_drop()
        if policy == "drop-oldest":
            while self.pending_bytes + batch.cost > self._limits.max_pending_bytes:
                oldest = self._take_one()
                if oldest is None:
                    break
                self.pending_bytes -= oldest.cost
                self.dropped += oldest.count
            else:
                self._enqueue(batch)
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

    async def drain(self) -> None:
        """
        Write the backlog until there is none: the writer task.

        Over a wire that cannot be written to without a task (TLS), it stays for what comes next, until the
        outbox is closed: starting one for each batch would cost as much as the writing.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the connection takes no more.

        If cancelled, what was being written counts as unsent; the wire keeps frames whole.

        """
        assert self._wire is not None
        while True:
            size = 0
            if self._queue is not None and not self._in_flight and not self._wire.direct:
                try:
                    self._in_flight.append(await self._queue[1].receive())
                except trio.EndOfChannel:
                    break
            while size < WRITE_BYTES and len(self._in_flight) < WRITE_BATCHES:
                batch = self._take_one()
                if batch is None:
                    break
                self._in_flight.append(batch)
                size += batch.cost
            if not self._in_flight:
                break
            await self._wire.write([batch.frames for batch in self._in_flight if batch.frames])
            self._done_with(self._in_flight)
            self._in_flight.clear()
        self._behind = self._closed
        self._queue = None

    async def receive(self) -> Batch:
        """
        Take the next batch, for an owner without a wire.

        Raises:
            trio.EndOfChannel: the outbox is closed, and all that was to be delivered has been.

        """
        if self._queue is None:
            self._queue = trio.open_memory_channel[Batch](math.inf)
            if self._closed:
                self._queue[0].close()
        batch = await self._queue[1].receive()
        self._done_with([batch])
        return batch

    def _done_with(self, batches: list[Batch]) -> None:
        for batch in batches:
            self.sent += batch.count
            self.pending_bytes -= batch.cost
            self._to_catch_up -= batch.cost
        if self.full_since is not None:
            self._owner.on_space()
            if self._to_catch_up <= 0:
                self.full_since = None
        if not self.pending_bytes:
            if self._caught_up is not None:
                self._caught_up.set()

    async def wait_caught_up(self) -> None:
        """Wait until nothing is pending, or what is has been forgotten."""
        while self.pending_bytes and not self._forgotten:
            if self._caught_up is None or self._caught_up.is_set():
                self._caught_up = trio.Event()
            await self._caught_up.wait()

    def finish(self) -> None:
        """Take no more; what is queued may still be delivered."""
        self._closed = self._behind = True
        if self._queue is not None:
            self._queue[0].close()

    def close(self) -> None:
        """Take no more, and forget what is queued: it counts as unsent."""
        self.finish()
        self._forgotten = True
        while (batch := self._take_one()) is not None:
            self.pending_bytes -= batch.cost
            self._discarded += batch.count
        if self._caught_up is not None:
            self._caught_up.set()
        if self.full_since is not None:
            self._owner.on_space()

    def give_up(self, batch: Batch) -> None:
        """Disconnect the client, which held the room too long; ``batch``, still the room's, is unsent."""
        self._discarded += batch.count
        self._owner.disconnect(SLOW)

    @property
    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._closed

    @property
    def unsent(self) -> int:
        """Messages left over: queued when it was closed, one too many for it, or not written in whole."""
        return self._discarded + sum([batch.count for batch in self._in_flight])


def offer_to_all(outboxes: Iterable[Outbox], batch: Batch) -> list[Outbox]:
    """
    Offer one batch to many, as :meth:`Outbox.offer` does; return those that said no.

    This loop is what a fan-out costs, so for a client that keeps up it makes one call: into the kernel.
    """
    frames, size, count = batch.frames, len(batch.frames), batch.count
    full = []
    for outbox in outboxes:
        if not outbox._behind:
            wire, written = outbox._wire, 0
            if (send_nowait := wire.send_nowait) is not None:  # type: ignore[union-attr]
                try:
                    written = send_nowait(frames)
                except OSError:  # no room, or broken: the writer finds out which
                    pass
                if written == size:
                    outbox.sent += count
                    continue
            outbox._fall_behind()
            if written:
                wire.keep_rest(frames, written)  # type: ignore[union-attr]
                outbox._half_written(batch, size - written)
                continue
        if not outbox._queue_up(batch):
            full.append(outbox)
    return full
