"""Since when: where in a room's past a member wants to begin, and how it gets from there to the present."""

from __future__ import annotations

from dataclasses import dataclass

from trioecho.counters import Counters
from trioecho.rooms.batch import Batch
from trioecho.rooms.history import History
from trioecho.rooms.notice import Notice
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.outbox import State
from trioecho.rooms.place import Place
from trioecho.rooms.room import Room

__all__ = ["Past", "Since"]

QUEUED_BYTES = 1024 * 1024
"""How much of the past is queued at once (bytes), or half of what may be pending."""

QUEUED_PAGES = 64
"""And pages: sixteen thousand fan-outs of the past are some milliseconds' work."""


@dataclass(frozen=True, slots=True)
class Since:
    """
    Where a member wants to begin.

    Attributes:
        after: after a place, or, if that is ``None``,
        last: with so many of the last messages.

    """

    after: Place | None = None
    last: int = 0

    def find(self, history: History) -> tuple[int, int | None]:
        """Return at which offset that is, and how many messages are missing before it (``None``: unknown)."""
        if self.after is None:
            return max(history.offset - self.last, history.first), 0
        if not history.knows(self.after):
            return history.first, None
        at = max(self.after.offset, history.first)
        return at, at - self.after.offset


class Past:
    """
    A member's way from a place in the past of its room into the room.

    :meth:`begin` queues what fits into its outbox, and if that is all, makes it a member in the same step: so
    there is no gap and no double, and what comes meanwhile queues behind. What does not fit, its outbox asks
    for page by page as it is written, and the step into the room comes at the end. Only then the room's
    policy for slow clients protects it from gaps; before, what the room forgets is told as missed.

    ``most`` is what may be pending for it.

    Attributes:
        missed: how many messages it has been told are missing; ``None``: nobody knows.

    """

    __slots__ = ("_at", "_counters", "_epoch", "_member", "_most", "_notice", "_room", "missed")

    def __init__(
        self, room: Room, member: Occupant, since: Since | None, counters: Counters, most: int
    ) -> None:
        history, tell = room.history, member.outbox.tell
        history.forget_old()
        self._at, self.missed = (history.offset, 0) if since is None else since.find(history)
        if self.missed is None:
            counters.places_unknown += 1
        else:
            counters.messages_missed += self.missed
        self._notice = None
        self._epoch = history.epoch
        place = Place(history.epoch, self._at)
        if tell is not None and tell(place, self.missed):
            self._notice = Notice(tell, place, self.missed)
        self._room = room
        self._member = member
        self._counters = counters
        self._most = min(QUEUED_BYTES, most // 2)

    def begin(self) -> None:
        """Queue what fits; if that is all, the member is in the room."""
        outbox = self._member.outbox
        self._room.coming.add(self._member)
        if outbox.state is State.DIRECT:  # it waited long for a shared room
            outbox.fall_behind()  # type: ignore[attr-defined]
        outbox.past = self
        for _ in range(QUEUED_PAGES):
            if outbox.past is None or outbox.pending_bytes > self._most:
                return
            batch = self()
            if batch is not None:
                outbox.append(batch)

    @property
    def place(self) -> Place:
        """Where in the room the member is, once it has all that :meth:`__call__` has returned."""
        return Place(self._room.history.epoch, self._at)

    def __call__(self) -> Batch | None:
        """Return what comes next, if anything; with the last of it, the member is in the room."""
        batch = self._next()
        if self._at >= self._room.history.offset:
            self._room.add(self._member)
            self._member.outbox.past = None
        return batch

    def _next(self) -> Batch | None:
        notice, self._notice = self._notice, None
        if notice is not None:
            return notice
        history = self._room.history
        history.forget_old()
        if history.epoch != self._epoch:  # a shared room has begun a new count
            self._epoch, self._at, self.missed = history.epoch, history.first, None
            self._counters.places_unknown += 1
            if self._member.outbox.tell is not None:
                return Notice(self._member.outbox.tell, Place(history.epoch, self._at), None)
        lost = history.first - self._at
        if lost > 0:
            self._at += lost
            self.missed = None if self.missed is None else self.missed + lost
            self._counters.messages_missed += lost
            if self._member.outbox.tell is not None:
                return Notice(self._member.outbox.tell, Place(history.epoch, self._at), lost)
        batch = history.page(self._at, self._most)
        if batch is not None:
            self._at += batch.count
        return batch
