"""When each publisher's next message is due: as soon as its window opens, or by the clock."""

from __future__ import annotations

import heapq
from typing import Protocol

from trioecho.bench.stream import Stream

__all__ = ["NEVER", "SECOND", "Flood", "Pace", "Paced", "Silence"]

SECOND = 1_000_000_000
"""In nanoseconds, as all times in the loop are."""

NEVER = 2**63
"""A time after all times."""

GATHER = 16
"""A flood lets a sixteenth of what is on its way gather: little enough that the server never runs dry."""

LONGEST_PAUSE = 0.01
"""The longest wait for bytes to gather, in seconds; a server so slow does not need a longer one."""


class Pace(Protocol):
    """What the loop asks of a pace. It decides; sending is the loop's part."""

    next_due: int
    """When :meth:`due` has something next; until then it need not be asked."""

    def opened(self, stream: Stream, now: int) -> int:
        """The window of a stream may have become wider: how many messages to send at once."""

    def due(self, now: int) -> tuple[Stream, int] | None:
        """A stream whose next message is due and may be sent, with the time when it was due."""

    def pause(self) -> float:
        """After a turn: how many seconds to let bytes gather before the next."""

    def stop(self, now: int) -> None:
        """From ``now`` on nothing more is due."""

    @property
    def overdue(self) -> int:
        """How many messages were due and are not sent yet."""


class Silence:
    """Nothing is ever due: the pace of a run that only connects, and of one that is over."""

    next_due = NEVER
    overdue = 0

    def opened(self, stream: Stream, now: int) -> int:
        """Send nothing."""
        return 0

    def due(self, now: int) -> tuple[Stream, int] | None:
        """Send nothing."""
        return None

    def pause(self) -> float:
        """Never wait."""
        return 0.0

    def stop(self, now: int) -> None:
        """It never began."""


class Flood(Silence):
    """
    A message is due as soon as the window has room for it.

    Read as fast as a server writes, every read would be one turn of the loop, and wake this process: that
    costs the load generator more than it costs the server, and the server more than its clients would. So
    when a turn brings less than a sixteenth of what is on its way, the next waits for a sixteenth of a
    message's time: the server always has nearly the whole window before it. A window smaller than that is
    there for the latencies, and is not kept waiting.
    """

    def __init__(self, streams: list[Stream]) -> None:
        self._streams = streams
        self._stopped = False
        self._delivered = 0
        self._took = 0
        self._on_its_way = sum(stream.window * len(stream.places) for stream in streams)
        self._patient = all(stream.window >= GATHER for stream in streams)

    def opened(self, stream: Stream, now: int) -> int:
        """Fill the window."""
        if self._stopped or stream.over:
            return 0
        if stream.floor:
            self._took = now - stream.due[(stream.floor - 1) % len(stream.due)]
        return stream.room

    def pause(self) -> float:
        """Wait if the last turn brought little."""
        if not self._patient:
            return 0.0
        delivered = sum([stream.delivered for stream in self._streams])
        brought, self._delivered = delivered - self._delivered, delivered
        if brought * GATHER >= self._on_its_way:
            return 0.0
        return min(self._took / GATHER / SECOND, LONGEST_PAUSE)

    def stop(self, now: int) -> None:
        """Fill no window any longer."""
        self._stopped = True


class Paced:
    """
    Each publisher's messages are due at equal intervals; the publishers are spread evenly over one interval.

    A message that falls due while its window is full is held and goes out when it can. It was due when it
    was: the time for which a server makes its publishers wait is part of the latency.
    """

    def __init__(self, streams: list[Stream], rate: float, start: int) -> None:
        self._streams = streams
        self._interval = round(SECOND / rate)
        self._end = NEVER
        self._agenda = [
            (start + self._interval * index // len(streams), index) for index in range(len(streams))
        ]
        self._held: dict[Stream, tuple[int, int]] = {}
        self.next_due = start

    def opened(self, stream: Stream, now: int) -> int:
        """What was held is due again, and has its turn through :meth:`due`."""
        if stream in self._held:
            heapq.heappush(self._agenda, self._held.pop(stream))
            self._look_ahead()
        return 0

    def due(self, now: int) -> tuple[Stream, int] | None:
        """The message that was due first."""
        found = None
        while found is None and self._agenda and self._agenda[0][0] <= now:
            due, index = self._agenda[0]
            stream = self._streams[index]
            if stream.room <= 0:
                heapq.heappop(self._agenda)
                if not stream.over:
                    self._held[stream] = (due, index)
                continue
            found = stream, due
            if due + self._interval < self._end:
                heapq.heapreplace(self._agenda, (due + self._interval, index))
            else:
                heapq.heappop(self._agenda)
        self._look_ahead()
        return found

    def pause(self) -> float:
        """Never wait: what arrives counts from when it is read."""
        return 0.0

    def stop(self, now: int) -> None:
        """What was due before ``now`` still has to go."""
        self._end = now
        self._agenda = [entry for entry in self._agenda if entry[0] < now]
        heapq.heapify(self._agenda)
        self._held = {stream: entry for stream, entry in self._held.items() if entry[0] < now}
        self._look_ahead()

    @property
    def overdue(self) -> int:
        """Messages that were due before the end, or by now while there is none, and are not sent."""
        waiting = [*self._agenda, *self._held.values()]
        return sum(-(-(self._end - due) // self._interval) for due, _ in waiting if due < self._end < NEVER)

    def _look_ahead(self) -> None:
        self.next_due = self._agenda[0][0] if self._agenda else NEVER
