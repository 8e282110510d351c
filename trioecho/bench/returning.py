"""A stream of which many followers leave at once and come back while it goes on, and their place in it."""

from __future__ import annotations

from trioecho.bench.latency import Latency
from trioecho.bench.messages import Messages
from trioecho.bench.stream import Stream
from trioecho.bench.track import Faults, Track

__all__ = ["InterruptedStream", "ReturnedTrack"]


class InterruptedStream(Stream):
    """Measures the latencies of those who stay only, and knows who has come back, and who of them waits."""

    __slots__ = ("heard", "reached", "stayed", "waiting", "watched")

    def __init__(self, messages: Messages, window: int, latency: Latency, opened: list[Stream]) -> None:
        super().__init__(messages, window, Latency(), opened)
        self.watched = latency
        """The latencies of those who stay."""
        self.stayed: set[int] = set()
        self.waiting: set[int] = set()
        """Who came back and has no message yet."""
        self.heard: set[int] = set()
        """Who came back and had one."""
        self.reached = 0
        """When the latest of them got their first."""

    def received(self, follower: int, count: int, now: int, *, skipped: int = 0) -> None:
        """A follower got its next messages."""
        # What it writes to is put in the place of the latencies, so that other runs pay nothing for this.
        unmeasured = self.latency
        if follower in self.stayed:
            self.latency = self.watched
        super().received(follower, count, now, skipped=skipped)
        self.latency = unmeasured
        self.reach(follower, now)

    def reach(self, follower: int, now: int) -> None:
        """A follower got something."""
        if follower in self.waiting:
            self.waiting.remove(follower)
            self.heard.add(follower)
            self.reached = now

    def leave(self, follower: int) -> None:
        """A follower is gone."""
        self.waiting.discard(follower)
        super().leave(follower)


class ReturnedTrack(Track):
    """
    The place of a receiver that came while messages were on their way.

    It must get everything that is sent after the answer to its handshake was read. It was in the room a
    moment before that, from when on nobody can say: so what comes first may also be earlier, and only from
    there on nothing may be missing.
    """

    __slots__ = ("_earlier", "_interrupted", "_joined")

    def __init__(self, stream: InterruptedStream) -> None:
        super().__init__(stream)
        self._interrupted = stream
        self._joined = self.place
        self._earlier: int | None = None
        """Which of the messages from before its place should come next, if any did."""
        stream.waiting.add(self.follower)

    @property
    def heard(self) -> bool:
        """Whether it had a message."""
        return self.follower in self._interrupted.heard

    @property
    def waits(self) -> bool:
        """Whether it had none, and one can come."""
        return self.follower in self._interrupted.waiting and not self.stream.over

    def arrived(self, slot: int, now: int, faults: Faults) -> None:
        """A message with this slot came."""
        number = self._number(slot)
        if self._earlier is None and self.place == self._joined:
            self._earlier = number
        if self._earlier is None or not self._earlier <= number < self._joined:
            super().arrived(slot, now, faults)
            return
        self.missing.update(range(self._earlier, number))
        self._earlier = number + 1
        self.stream.delivered += 1
        self._interrupted.reach(self.follower, now)

    def finish(self, faults: Faults) -> None:
        """No more will come."""
        if self._earlier is not None:
            faults.lost += max(0, min(self._joined, self.stream.sent) - self._earlier)
        super().finish(faults)
