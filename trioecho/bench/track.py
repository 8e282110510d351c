"""What one receiver has seen of one publisher's messages, and what was wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from trioecho.bench.stream import Stream

__all__ = ["Faults", "Track"]

MOST_REASONS = 10
"""So many different reasons for a disconnect are kept: a server may make each one different."""


@dataclass(slots=True)
class Faults:
    """Everything that a broadcast server must not do, counted in deliveries; the disconnected in clients."""

    lost: int = 0
    """Sent, and never received."""
    duplicated: int = 0
    """Received a second time."""
    out_of_order: int = 0
    """Received after one that was sent later by the same publisher."""
    changed: int = 0
    """Received, but not as it was sent."""
    misdirected: int = 0
    """Received by its own sender, or in another room."""
    prefix: bytes = b""
    """What the server put before a changed message, if anything."""
    disconnected: int = 0
    """Clients whose connection the server ended."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why clients were disconnected, each reason with their number; at most :data:`MOST_REASONS`."""

    def disconnect(self, reason: str) -> None:
        """Count a client that the server disconnected."""
        self.disconnected += 1
        if reason not in self.reasons and len(self.reasons) >= MOST_REASONS:
            reason = "for other reasons"
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def __bool__(self) -> bool:
        """Whether anything was wrong."""
        return any(self.counts().values())

    def counts(self) -> dict[str, int]:
        """The numbers by their names."""
        return {
            "lost": self.lost,
            "duplicated": self.duplicated,
            "out_of_order": self.out_of_order,
            "changed": self.changed,
            "misdirected": self.misdirected,
            "disconnected": self.disconnected,
        }


class Track:
    """
    One receiver's place in one stream.

    A message that is early leaves a gap: those in it are *missing* until they arrive late (out of order) or
    the run is over (lost). A message that is neither next, early nor missing was there before: a duplicate.
    """

    __slots__ = ("follower", "missing", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.follower = stream.follow()
        self.missing: set[int] = set()

    @property
    def place(self) -> int:
        """The number of the message that should come next."""
        return self.stream.places[self.follower]

    def arrived(self, slot: int, now: int, faults: Faults) -> None:
        """
        A message with this slot came; says to ``faults`` what was wrong with that, if anything.

        A slot stands for many numbers, a ring apart; the one nearest to the expected number is meant. At most
        a quarter of the ring is in flight, so that is certain unless a message comes later than half a ring
        of others: it is then counted, but as a duplicate.
        """
        place, number = self.place, self._number(slot)
        ahead = number - place
        if ahead >= 0 and number < self.stream.sent:
            self.missing.update(range(place, number))
            self.stream.received(self.follower, 1, now, skipped=ahead)
        elif number in self.missing:
            self.missing.remove(number)
            self.stream.delivered += 1
            faults.out_of_order += 1
        else:
            faults.duplicated += 1

    def _number(self, slot: int) -> int:
        """Return which message a slot stands for: the one nearest to the expected."""
        ring, place = self.stream.messages.count, self.place
        return place + (slot - place + ring // 2) % ring - ring // 2

    def finish(self, faults: Faults) -> None:
        """No more will come: what is missing is lost."""
        # A place is beyond what was sent if its publisher went while the kernel had not taken all of it.
        faults.lost += len(self.missing) + max(0, self.stream.sent - self.place)
        self.missing.clear()
        self.stream.leave(self.follower)
