"""
A feed: one room's place in its log, and what is taken from it. Plain functions: nothing here waits.

A feed is told of entries in two ways, by pushes and by reading. A push only saves a question: it is taken
if it goes on exactly where the feed is, and otherwise the log is read from there. So it does not matter
what pushes are lost, come twice or come late, and there is one way to recover from everything.

In which state it is says what it does with a push:

- ``NEW``: it does not know yet where the log is. Pushes are forgotten.
- ``READING``: an answer is to come that has what was pushed meanwhile, too. Pushes are forgotten.
- ``LEVEL``: it has everything. Commands, answers and pushes of one connection have one order, so once an
  answer ended at the end of the log, the next push is the next entry.
- ``BEHIND``: its room has no space. Pushes are forgotten; when there is space, it reads on. The log is the
  buffer.

Of each node the feed knows the last number it heard: what was appended again and is heard a second time,
after the engine lost something, is not delivered a second time.

What its own node appended waits in a line until it comes back; it is then delivered as the batch that it
was, with the member who sent it. While the engine is away for too long, the feed is *alone*: its room then
counts by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import trio

from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.log import Jump, LogReader, Remembered
from trioecho.rooms.place import Place, new_epoch

__all__ = ["Entry", "Feed", "State"]

BACK = 1000
"""How many messages before the end of a log that was cut short are read again: what took its place may be
among them. What was heard already is left out."""

MOST_NODES = 1000
"""Of so many nodes the last number is known; those that were silent longest are forgotten."""

NOBODY = (b"", b"")


class State(Enum):
    """What a feed does with a push."""

    NEW = "new"
    READING = "reading"
    LEVEL = "level"
    BEHIND = "behind"


class Entry(NamedTuple):
    """An entry of a log: the offset after it, how many messages, who appended it as which, their frames."""

    top: int
    messages: int
    node: bytes
    number: bytes
    frames: bytes


class Feed:
    """
    The feed of ``room``, on the node of this name.

    Attributes:
        state: what it does with a push.
        epoch, offset: where it is; of no meaning while it is new.
        last: which entry it saw there: node and number.
        alone: whether its room counts by itself, because the engine is away.
        pending: bytes of what its node appended and has not come back.
        known: entries that were left out because they had been heard.
        trimmed: messages that were gone from the log when they were to be read.
        epochs: how often the log had begun a new count.

    """

    def __init__(self, room: LogReader, node: bytes, source: Origin = Origin.ELSEWHERE) -> None:
        self.room = room
        self.state = State.NEW
        self.epoch, self.offset = "", 0
        self.last = NOBODY
        self.alone = False
        self.pending = self.known = self.trimmed = self.epochs = 0
        self._node = node
        self._source = source
        self._heard: dict[bytes, int] = {}
        # While it reads what it may have had: until which offset it does not trust nodes it never heard.
        self._rereading = False
        self._distrusted = 0
        self._mine: deque[tuple[int, Batch]] = deque()
        self._marks: deque[tuple[int, trio.Event]] = deque()

    # What its own node appends.

    def expect(self, number: int, batch: Batch) -> None:
        """Take notice that the node has appended a batch, which will come back."""
        self._mine.append((number, batch))
        self.pending += batch.cost

    def said(self, number: int) -> None:
        """Take notice that a batch was delivered here already: it is left out when it comes back."""
        self._hear(self._node, number)

    def mark(self) -> trio.Event | None:
        """Return what is set when all that was appended so far has come back; ``None`` if it has."""
        if not self._mine:
            return None
        event = trio.Event()
        self._marks.append((self._mine[-1][0], event))
        return event

    def release(self) -> None:
        """Expect nothing any more."""
        self._mine.clear()
        self.pending = 0
        while self._marks:
            self._marks.popleft()[1].set()

    def _returned(self, number: int) -> Batch | None:
        """Take a batch of the node's own out of the line, and what was before it and never came."""
        found = None
        while self._mine and self._mine[0][0] <= number:
            own, batch = self._mine.popleft()
            self.pending -= batch.cost
            if own == number:
                found = batch
        while self._marks and self._marks[0][0] <= number:
            self._marks.popleft()[1].set()
        return found

    # What the log brings. Those that return a bool say whether the log is to be read on from here.

    def opened(self, place: Place, last: tuple[bytes, bytes], past: Sequence[Remembered]) -> None:
        """Take notice of where the log is, and of its last messages."""
        self.state = State.LEVEL
        self.epoch, self.offset = place
        self.last = last
        if self.alone:
            self.alone = False
            self._jump(0)
        else:
            self.room.opened(place, past)

    def pushed(self, epoch: str, entry: Entry) -> bool:
        """Take an entry that was pushed, if it is the next."""
        if self.state is not State.LEVEL:
            return False
        if epoch == self.epoch and entry.top <= self.offset:
            return False
        if epoch != self.epoch or entry.top - entry.messages != self.offset:
            self.state = State.READING
            return True
        if not self._take(entry):
            self.state = State.BEHIND
        return False

    def answered(self, epoch: str, top: int, began: int, entries: Sequence[Entry]) -> bool:
        """Take what was read: the log's epoch and offset, where that epoch began, and what follows."""
        self.state = State.LEVEL
        if epoch != self.epoch:
            return self._begin_anew(epoch, top, began)
        if self.alone:
            self.alone = False
            self._jump(0)
        for entry in entries:
            if not self._take(entry):
                self.state = State.BEHIND
                return False
        if not entries and self.offset < top:  # all that was there has expired
            missed, self.offset, self.last = top - self.offset, top, NOBODY
            self._miss(missed)
        if self.offset < top:
            self.state = State.READING
            return True
        self._rereading, self._distrusted = False, 0
        return False

    def on_space(self) -> bool:
        """Take notice that the room has space again."""
        if self.state is not State.BEHIND:
            return False
        self.state = State.READING
        return True

    def lose(self) -> None:
        """Take notice that the connection is lost: what was asked is not answered any more."""
        if self.state is State.LEVEL:
            self.state = State.READING

    def go_alone(self) -> None:
        """Deliver what has not come back, and let the room count by itself until the log is back."""
        if self.alone:
            return
        self.alone = True
        place = Place(new_epoch(), 0)
        if self.state is State.NEW:
            self.room.opened(place, ())
        else:
            self.room.deliver(Jump(place, 0))
        for number, batch in self._mine:
            self._hear(self._node, number)
            self.room.deliver(batch)
        self.release()

    def _begin_anew(self, epoch: str, top: int, began: int) -> bool:
        """
        Go on in another epoch, because the log has lost something.

        What is missing nobody knows: those who are told are told so. What was said at the end of the old
        count, or was appended again by its node, may stand at the beginning of the new one or before it.
        """
        self.alone = False
        self.epochs += 1
        common = min(self.offset, began)  # so much is the same in both counts
        back = max(0, common - BACK)
        self.epoch, self.offset, self.last = epoch, back, NOBODY
        self._rereading, self._distrusted = True, common
        self._jump(None)
        if top > back:
            self.state = State.READING
            return True
        self._rereading = False
        return False

    def _take(self, entry: Entry) -> bool:
        """Deliver an entry, and return whether the room has space for another."""
        top, count, node, number_text, frames = entry
        start = top - count
        if start != self.offset:
            missed = max(0, start - self.offset)
            self.offset = start
            self._miss(0 if self._rereading else missed)
        self.offset, self.last = top, (node, number_text)
        number = int(number_text)
        known = False
        if node:
            last = self._heard.get(node)
            known = number <= last if last is not None else top <= self._distrusted
            if not known or last is None:
                self._hear(node, number)
        own = self._returned(number) if node == self._node else None
        if known:
            self.known += 1
            return self.room.deliver(Batch(Origin.KNOWN, frames, count))
        return self.room.deliver(Batch(self._source, frames, count) if own is None else own)

    def _hear(self, node: bytes, number: int) -> None:
        heard = self._heard
        if len(heard) >= MOST_NODES:
            # The oldest come first if whoever is heard goes to the end.
            heard.pop(node, None)
            while len(heard) >= MOST_NODES:
                del heard[next(iter(heard))]
        heard[node] = number

    def _miss(self, messages: int) -> None:
        self.trimmed += messages
        self._jump(messages)

    def _jump(self, missed: int | None) -> None:
        self.room.deliver(Jump(Place(self.epoch, self.offset), missed))
