"""
Compression in rooms: who gets a batch in which form, and for how many rooms a past is kept.

The forms are plain, in context, and compressed without a past for those who are out of step, if they are more
than a few.

A server has one :class:`Compressor`, a room one :class:`RoomCompression`, and in it a
:class:`~trioecho.rooms.context.Context` for each encoding in which its members write.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from trioecho.counters import Counters
from trioecho.protocol.sse import event_pieces
from trioecho.rooms.batch import Batch, Encoding, as_gzip_events
from trioecho.rooms.context import Context, Singles, step_of
from trioecho.rooms.outbox import Outbox
from trioecho.settings import Settings

__all__ = ["Compressor", "Figures", "Forms", "RoomCompression"]

MAX_CONTEXTS = 64
"""Contexts that a server keeps, those that were used last. One takes up to 207 KiB: 13 MiB together."""

FEW = 16
"""A second form is made of a batch if more than one in so many gets it: compressing once more costs as much
time as it takes to write to some ten clients."""

MAX_CHOICES = 4096
"""Messages that are chosen for members that get some of a batch, all members together: two milliseconds."""

Forms = Sequence[tuple[Sequence[Outbox], Batch]]
"""Which outboxes get a batch in which form."""


@dataclass(slots=True)
class Figures:
    """What one room has compressed; :class:`~trioecho.counters.Counters` says the same of all rooms."""

    compression_bytes_in: int = 0
    compression_bytes_out: int = 0
    contexts_begun: int = 0
    messages_out_of_step: int = 0
    messages_unable: int = 0


class Compressed(Batch):
    """A batch that is compressed already, in whatever encoding its recipients write."""

    __slots__ = ()

    is_final: ClassVar = True

    def __init__(self, plain: Batch, frames: bytes) -> None:
        super().__init__(plain.source, frames, plain.count)
        # What a notice says of it, should it be dropped.
        self.epoch, self.offset, self.runs = plain.epoch, plain.offset, plain.runs

    def encoded(self, kind: Encoding | None) -> bytes:
        """Return its frames, which are those of ``kind``."""
        return self.frames


class Compressor:
    """
    What compresses for all rooms of a server, and bounds how many contexts are kept for them.

    Attributes:
        able: how many subscribers can inflate, in all rooms together.

    """

    __slots__ = ("_counters", "_in_use", "_lasting", "_level", "_smallest", "_step", "able", "to_sender")

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self.able = 0
        self.to_sender = settings.to == "sender"
        self._level = settings.compress_level
        self._smallest = settings.compress_min
        self._step = step_of(settings.compress_level)
        # A policy that drops batches drops them from single outboxes, and then nothing may refer to them.
        self._lasting = settings.when_slow in ("wait", "disconnect")
        self._counters = counters
        self._in_use: OrderedDict[Context, None] = OrderedDict()

    async def forms(
        self,
        context: Context,
        outboxes: Sequence[Outbox],
        batch: Batch,
        encoding: Encoding | None,
        figures: Figures,
    ) -> Forms:
        """Say who of ``outboxes``, which share an encoding, gets ``batch`` in which form."""
        able = [outbox for outbox in outboxes if outbox.context is not None]
        unable = (len(outboxes) - len(able)) * batch.count
        if not able:
            self._counters.messages_unable += unable
            figures.messages_unable += unable
            return ((outboxes, batch),)
        begun = context.begun
        in_step = context.in_step(able, batch.count, batch.size, self._level)
        missed = len(able) - len(in_step)
        # In a stream of events who is out of step is always sent another form, and never a plain one.
        several = missed * FEW > len(able) or (missed > 0 and encoding is as_gzip_events)
        for each in (self._counters, figures):
            each.contexts_begun += context.begun - begun
            each.messages_out_of_step += 0 if several else missed * batch.count
            each.messages_unable += unable
        self._keep(context)
        # From here on other tasks may run. Who joins meanwhile is not among ``outboxes`` and not in step.
        compressed = await self.compress(context, batch, encoding, figures)
        if not self._lasting:
            context.forget()
        if len(in_step) == len(outboxes):
            return ((outboxes, compressed),)
        chosen = set(in_step)
        forms = [(in_step, compressed)]
        if several:
            others = [outbox for outbox in able if outbox not in chosen]
            forms.append((others, await self.compress_alone(batch, encoding, figures)))
            chosen.update(others)
        return (*forms, ([outbox for outbox in outboxes if outbox not in chosen], batch))

    async def compress_alone(self, batch: Batch, encoding: Encoding | None, figures: Figures) -> Batch:
        """Return ``batch`` compressed as any client can inflate it, whatever it has got before."""
        context = Context()
        context.in_step((), batch.count, batch.size, self._level)
        return await self.compress(context, batch, encoding, figures)

    async def compress(
        self, context: Context, batch: Batch, encoding: Encoding | None, figures: Figures
    ) -> Batch:
        """Return ``batch`` as those get it who are in step with ``context``."""
        began = perf_counter()
        if encoding is as_gzip_events:
            # Made in pieces, and never whole: events may be much work.
            size, data = await context.compress_stream(event_pieces(batch.frames, *batch.event_place))
        else:
            frames = batch.encoded(encoding)
            size, data = len(frames), await context.compress(frames, self._smallest, self._step)
        self._counters.compression_seconds += perf_counter() - began
        for each in (self._counters, figures):
            each.compression_bytes_in += size
            each.compression_bytes_out += len(data)
        return Compressed(batch, data)

    async def singles(self, batch: Batch, figures: Figures) -> Singles:
        """Return the messages of ``batch``, each compressed by itself."""
        began = perf_counter()
        made = await Singles.of(batch.frames, self._smallest, self._level, self._step)
        self._counters.compression_seconds += perf_counter() - began
        for each in (self._counters, figures):
            each.compression_bytes_in += batch.size
            each.compression_bytes_out += made.size
        return made

    def release(self, context: Context) -> None:
        """Free a context that nobody needs any more."""
        context.forget()
        self._in_use.pop(context, None)

    def _keep(self, context: Context) -> None:
        self._in_use[context] = None
        self._in_use.move_to_end(context)
        if len(self._in_use) > MAX_CONTEXTS:
            self._in_use.popitem(last=False)[0].forget()


class RoomCompression:
    """
    What one room compresses, while somebody in it can inflate.

    For each encoding there is a context, as long as somebody who can inflate writes in it.

    Attributes:
        able: how many can.
        figures: what it has compressed so far.

    """

    __slots__ = ("_able", "_compressor", "_contexts", "able", "figures")

    def __init__(self, compressor: Compressor) -> None:
        self.able = 0
        self.figures = Figures()
        self._able: dict[Encoding | None, int] = {}
        self._compressor = compressor
        self._contexts: dict[Encoding | None, Context] = {}

    def add(self, encoding: Encoding | None) -> None:
        """Take notice of one more who can inflate."""
        self._able[encoding] = self._able.get(encoding, 0) + 1
        self.able += 1
        self._compressor.able += 1

    def remove(self, encoding: Encoding | None) -> None:
        """Take notice that one is gone, and free what only they needed."""
        self.able -= 1
        self._compressor.able -= 1
        self._able[encoding] -= 1
        if not self._able[encoding]:
            del self._able[encoding]
            context = self._contexts.pop(encoding, None)
            if context is not None:
                self._compressor.release(context)

    def knows(self, outbox: Outbox) -> bool:
        """Return whether ``outbox`` can inflate and is in step: it would get the next message compressed."""
        context = self._contexts.get(outbox.encoding)
        return context is not None and outbox.context == context.begun

    async def forms(self, outboxes: Sequence[Outbox], batch: Batch, encoding: Encoding | None) -> Forms:
        """Say who gets a batch in which form."""
        context = self._contexts.get(encoding)
        if context is None:
            context = self._contexts[encoding] = Context()
        return await self._compressor.forms(context, outboxes, batch, encoding, self.figures)

    async def singles(
        self, everybody: Batch | None, cuts: Iterable[tuple[Outbox | None, Batch | None]]
    ) -> Singles | None:
        """
        Compress each message by itself, for members that get a choice of them; ``None``: it does not pay.

        ``cuts`` are their outboxes, each with what it gets. The choice is made message by message, so where
        many get one of many messages, they get it plain.
        """
        if everybody is None or self._compressor.to_sender:
            return None
        able = sum(
            [outbox is not None and outbox.context is not None and cut is not None for outbox, cut in cuts]
        )
        if able * FEW <= self.able or able * everybody.count > MAX_CHOICES:
            return None
        return await self._compressor.singles(everybody, self.figures)

    async def alone(self, outbox: Outbox, batch: Batch | None, singles: Singles | None) -> Batch | None:
        """Return what one outbox gets instead of what the others do; it is out of step from now on."""
        if outbox.context is None:
            return batch
        outbox.context = 0
        if batch is None:
            return None
        if singles is not None:
            return Compressed(batch, singles.of_these(batch.encoded(outbox.encoding)))
        if not self._compressor.to_sender:
            return batch
        return await self._compressor.compress_alone(batch, outbox.encoding, self.figures)
