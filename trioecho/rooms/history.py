"""
A room's history: its numbered messages, and the recent ones of them.

What is kept is the bytes of each fan-out, which the outboxes of slow clients hold anyway: remembering costs
an append for each fan-out, however many messages and members it had. It also means that what was fanned out
together is forgotten together, and that a reader may begin in the middle of it.

It is bounded in messages, bytes and age, and all histories of a server together are bounded in bytes, by
:class:`~trioecho.rooms.histories.Histories`. The newest fan-out is always kept: a busy room's may be larger
than the bound, and is half of what its clients need to catch up. Keeping the bounds costs three times as much
as an append, so it is done once for several: bytes are reserved in steps, and what is too much is forgotten
with each step.

Reading is by offset, a page at a time, so that nothing has to be kept for a slow reader: what was forgotten
meanwhile it is told as a number.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import islice
from operator import itemgetter
from typing import Protocol
from weakref import ref

import trio

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Buffer, Origin, excerpt
from trioecho.rooms.place import Place, new_epoch
from trioecho.settings import History as HistoryOptions

__all__ = ["ENTRY_COST", "Budget", "Entry", "History"]

ENTRY_COST = 200
"""What a fan-out is taken to cost beside its frames (bytes): a tuple of numbers, and a ``bytes`` object."""

PAGE_BYTES = 64 * 1024
PAGE_ENTRIES = 256
"""A page is at most so many bytes and fan-outs, or one fan-out."""

MARK_EVERY = 256
"""Where messages begin is noted for one in so many, once, if somebody begins to read in the middle."""

STEP_BYTES = 8 * 1024
"""How much a history reserves at once (bytes), or an eighth of what it may hold."""

Entry = tuple[int, float, int, bytes]
"""Messages that were fanned out together: how many came before them, when (trio time), how many they are, and
their frames. A plain tuple, because one is made in every fan-out."""

offset_of: Callable[[Entry], int] = itemgetter(0)


class Budget(Protocol):
    """What a history needs of the one that bounds all of them."""

    cost: int
    """What the kept messages of all rooms cost to hold (bytes)."""

    limit: int
    """What they may cost."""

    def hold(self, history: History) -> None:
        """Take notice that a history holds messages."""

    def forget(self) -> None:
        """Have histories forget their oldest, because together they cost more than they may."""


class History:
    """
    The numbers and the recent messages of one room.

    Attributes:
        epoch: the name of this count.
        offset: how many messages the room has fanned out in it.
        cost: what the kept messages cost to hold, and what is reserved for the next (bytes).
        touched: when somebody last used it although nobody is in the room (trio time).

    """

    _now: Callable[[], float]

    __slots__ = (
        "_budget",
        "_entries",
        "_marks",
        "_now",
        "_settings",
        "_spare",
        "cost",
        "epoch",
        "offset",
        "touched",
    )

    def __init__(self, settings: HistoryOptions, budget: Budget) -> None:
        self.epoch = new_epoch()
        self.offset = self.cost = 0
        self.touched = 0.0
        self._settings = settings
        # Weak: the budget holds all histories, and a server that has ended must not wait for the collector.
        self._budget = ref(budget)
        # Made with the first message: a room in which nobody talks should cost little.
        self._entries: deque[Entry] | None = None
        self._marks: dict[int, list[int]] | None = None
        # What is left of what was reserved, or has been spent beyond it (bytes).
        self._spare = 0

    @property
    def place(self) -> Place:
        """The place after the last message."""
        return Place(self.epoch, self.offset)

    @property
    def first(self) -> int:
        """The offset from which on all messages are kept: :attr:`offset` if there are none."""
        return self._entries[0][0] if self._entries else self.offset

    def add(self, batch: Batch, when: float | None = None) -> None:
        """
        Number the messages of a batch that goes to everybody, which gives it its place, and keep them.

        ``when`` they were fanned out, if that is not now (trio time).
        """
        batch.epoch = self.epoch
        batch.offset = offset = self.offset
        self.offset = offset + batch.count
        if self._entries is None:
            if not self._settings.history:
                return
            self._entries = deque()
            # A third of what trio.current_time() costs, which for a lone message is much.
            self._now = trio.lowlevel.current_clock().current_time
        when = self._now() if when is None else when
        self._entries.append((offset, when, batch.count, batch.frames))
        self._spare -= batch.size + ENTRY_COST
        if self._spare < 0:
            self._reserve()

    def _reserve(self) -> None:
        """Reserve bytes for what has been added and for some more, and forget what is too much."""
        entries, settings, budget = self._entries, self._settings, self._budget()
        assert entries
        step = min(STEP_BYTES, settings.history_bytes // 8)
        if budget is not None:
            if not self.cost:
                budget.hold(self)
            budget.cost += step - self._spare
        self.cost += step - self._spare
        self._spare = step
        # As forget_oldest() does, for many at once.
        until, most = self._now() - settings.history_age, settings.history_bytes
        enough, left, cost = self.offset - settings.history, len(entries), self.cost
        while left > 1 and (cost > most or entries[1][0] <= enough or entries[0][1] < until):
            forgotten = entries.popleft()
            left -= 1
            cost -= len(forgotten[3]) + ENTRY_COST
            if self._marks:
                self._marks.pop(forgotten[0], None)
        if budget is not None:
            budget.cost -= self.cost - cost
        self.cost = cost
        if budget is not None and budget.cost > budget.limit:
            budget.forget()

    def forget_oldest(self) -> None:
        """Forget the oldest fan-out, if there is one."""
        if self._entries:
            offset, _, _, forgotten = self._entries.popleft()
            if self._marks is not None:
                self._marks.pop(offset, None)
            cost = len(forgotten) + ENTRY_COST
            if not self._entries:
                cost, self._spare = self.cost, 0
            self.cost -= cost
            if (budget := self._budget()) is not None:
                budget.cost -= cost

    def forget_old(self) -> None:
        """Forget what is older than it may be."""
        entries, until = self._entries, trio.current_time() - self._settings.history_age
        while entries and entries[0][1] < until:
            self.forget_oldest()

    def clear(self) -> None:
        """Forget all messages; the count goes on."""
        while self._entries:
            self.forget_oldest()

    def restart(self, place: Place) -> None:
        """Forget all messages, and count on from ``place``."""
        self.clear()
        self.epoch, self.offset = place

    def knows(self, place: Place) -> bool:
        """Whether ``place`` is one of this count, and not after its end."""
        return place.epoch == self.epoch and place.offset <= self.offset

    def page(self, offset: int, most: int = PAGE_BYTES) -> Batch | None:
        """
        Return messages from ``offset`` on, as one batch with its place, or ``None`` at the end.

        They are at most ``most`` bytes, or one fan-out. ``offset`` is at least :attr:`first`. The bytes are
        shared where that pays.
        """
        if offset >= self.offset:
            return None
        entries = self._entries
        assert entries and offset >= entries[0][0]
        index = bisect_right(entries, offset, key=offset_of) - 1
        entry = entries[index]
        start, _, count, data = entry
        skipped = offset - start
        most = min(most, PAGE_BYTES)
        if not skipped and len(data) >= most:
            batch = Batch(Origin.FANNED_OUT, data, count)
        else:
            pieces: list[Buffer] = [memoryview(data)[self._start_of(entry, skipped) :]]
            size, held, count = len(pieces[0]), len(data), count - skipped
            for following in range(index + 1, min(len(entries), index + PAGE_ENTRIES)):
                _, _, more, data = entries[following]
                if size + len(data) > most:
                    break
                pieces.append(data)
                size, held, count = size + len(data), held + len(data), count + more
            batch = excerpt(pieces, count, held)
        batch.epoch, batch.offset = self.epoch, offset
        return batch

    def end_of(self, offset: int, most: int, each: int) -> int:
        """
        Return where the messages from ``offset`` on end that have about ``most`` bytes: one at least.

        Each counts ``each`` bytes beside its frame; those of one fan-out count as if all were as large.
        ``offset`` is at least :attr:`first`.
        """
        entries, left = self._entries, most
        if not entries or offset >= self.offset:
            return self.offset
        at = offset
        for start, _, count, data in islice(entries, bisect_right(entries, at, key=offset_of) - 1, None):
            end, size = start + count, len(data) // count + each
            if (end - at) * size > left:
                return max(offset + 1, at + left // size)
            left, at = left - (end - at) * size, end
        return self.offset

    def time_of(self, offset: int) -> float:
        """Return when the message after ``offset`` others was fanned out (trio time); it must be kept."""
        assert self._entries
        return self._entries[bisect_right(self._entries, offset, key=offset_of) - 1][1]

    def _start_of(self, entry: Entry, number: int) -> int:
        """Return where in its frames the message with this number begins, the first being 0."""
        offset, _, count, data = entry
        if number < MARK_EVERY:
            return frames.skip(data, 0, number)
        if self._marks is None:
            self._marks = {}
        marks = self._marks.get(offset)
        if marks is None:
            marks = self._marks[offset] = [0]
            for _ in range(count // MARK_EVERY):
                marks.append(frames.skip(data, marks[-1], MARK_EVERY))
        return frames.skip(data, marks[number // MARK_EVERY], number % MARK_EVERY)
