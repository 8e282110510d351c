"""
A reconnect storm: everybody in a room is cut at once, as by a deploy or a proxy that dies, and comes back.

Messages flow all the time, and some clients stay: what happens to them while the others come back is measured
as much as the time until everybody has messages again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from trioecho.bench.dial import Dialler
from trioecho.bench.handshake import DialError, Dialled, said
from trioecho.bench.latency import Latency
from trioecho.bench.load import Load, Seat
from trioecho.bench.pace import SECOND
from trioecho.bench.plan import Plan
from trioecho.bench.receiver import Receiver
from trioecho.bench.returning import InterruptedStream, ReturnedTrack
from trioecho.bench.stream import Stream
from trioecho.bench.target import Target
from trioecho.bench.track import Track
from trioecho.bench.unpacker import Point

__all__ = ["StormLoad"]

SLICE = 0.0005
"""
Seconds of cutting or connecting in one turn of the loop. What those who stay get is read in between, so this
is added to their latencies.
"""


class StormLoad(Load):
    """A run with a storm in it. Those who stay have ``latency`` before it, and ``during`` while it lasts."""

    def __init__(self, plan: Plan, target: Target, lines: Sequence[bytes] = ()) -> None:
        super().__init__(plan, target, lines)
        self.during = Latency()
        self.connected_again = 0.0
        """Seconds from the cut until the last handshake was done."""
        self.all_reached = 0.0
        """Seconds from the cut until the last of those who were ``reached`` had a message."""
        self.cut = 0
        """How many were cut."""
        self.returned = 0
        """How many came back."""
        self.reached = 0
        """How many of them had a message, from each publisher of their room, when the storm was over."""
        self._interrupted: list[InterruptedStream] = []
        self._leaving: list[tuple[Seat, Receiver]] = []
        self._returned: list[list[ReturnedTrack]] = []
        self._back = False
        self._began = 0
        self._answered = 0
        self._seen_of_storm = (0, 0)
        self._progress_of_storm = 0

    def _stream(self, number: int) -> Stream:
        stream = InterruptedStream(self._messages(number), self.plan.in_flight, self.latency, self._opened)
        self._interrupted.append(stream)
        return stream

    def _track(self, seat: Seat, stream: Stream) -> Track:
        assert isinstance(stream, InterruptedStream)
        if self._back:
            return ReturnedTrack(stream)
        track = Track(stream)
        if not seat.leaves:
            stream.stayed.add(track.follower)
        return track

    def _take(self, seat: Seat, dialled: Dialled, points: dict[tuple[int, bool], Point]) -> Receiver:
        receiver = super()._take(seat, dialled, points)
        if seat.leaves and not self._back:
            self._leaving.append((seat, receiver))
        return receiver

    def _after_measuring(self) -> None:
        """Let the storm break loose, until everybody has a message again."""
        if self.stalled:
            return
        seats = [seat for seat, receiver in self._leaving if receiver in self._loop.receivers]
        paths = [self.target.room(seat.room, self.plan.rooms) for seat in seats]
        self.cut = len(seats)
        self._back = True
        self._began = began = self.during.since = time.perf_counter_ns()
        for stream in self._interrupted:
            stream.watched = self.during
        with Dialler(self._route, paths, at_once=len(paths) or 1) as dialler:
            self._beside(
                "storm",
                dialler,
                lambda: self._advance(dialler, seats),
                lambda: dialler.finished and not self._waiting(),
            )
        self._sample("back")
        self.reached = sum(all(track.heard for track in tracks) for tracks in self._returned)
        if self.reached:
            self.all_reached = (max(stream.reached for stream in self._interrupted) - began) / SECOND

    def _waiting(self) -> int:
        """Return how many first messages still can and should come, of each publisher to each client."""
        return sum(len(stream.waiting) for stream in self._interrupted if not stream.over)

    def _standstill(self, now: int) -> str:
        """Return how the server stalled: others may get their messages while those who came back do not."""
        before, self._seen_of_storm = self._seen_of_storm, (self._answered, self._waiting())
        owed = any(stream.waiting and stream.in_flight and not stream.over for stream in self._interrupted)
        if self._seen_of_storm != before or not owed:
            self._progress_of_storm = now
        if now - self._progress_of_storm <= self.plan.stall * SECOND:
            return super()._standstill(now)
        clients = sum(any(track.waits for track in tracks) for tracks in self._returned)
        return f"{clients:,} clients that had come back got no message for {self.plan.stall:g} s"

    def _advance(self, dialler: Dialler, seats: Sequence[Seat]) -> bool:
        """Cut or connect for a moment; says whether there is more to do at once."""
        until = time.perf_counter() + SLICE
        while self._leaving:
            _, receiver = self._leaving.pop()
            if receiver in self._loop.receivers:
                self._loop.cut(receiver)
            if time.perf_counter() > until:
                return True
        dialler.step(budget=SLICE)
        for number, made in dialler.taken():
            self._answered += 1
            if isinstance(made, DialError):
                self.faults.disconnect(f"did not come back: {made}")
            elif isinstance(made, OSError):
                self.faults.disconnect(f"did not come back: {said(made)}")
            else:
                self.returned += 1
                # Compressed or not, nobody else has got the same bytes since its beginning.
                tracks = self._take(seats[number], made, {}).tracks
                self._returned.append([track for track in tracks if isinstance(track, ReturnedTrack)])
                self.connected_again = (time.perf_counter_ns() - self._began) / SECOND
        return dialler.eager
