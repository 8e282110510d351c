"""One run, phase by phase: connect, warm up, measure, drain, close."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from trioecho.bench.connection import LoadConnection
from trioecho.bench.dial import Dialler, find_route
from trioecho.bench.handshake import DialError, Dialled, Tickets, said
from trioecho.bench.latency import Latency
from trioecho.bench.loop import Loop
from trioecho.bench.messages import Messages
from trioecho.bench.pace import SECOND, Flood, Paced, Silence
from trioecho.bench.plan import Plan
from trioecho.bench.process import ProcessError, cpu_seconds, resident_bytes
from trioecho.bench.receiver import Receiver
from trioecho.bench.sources import Sources
from trioecho.bench.stream import Stream
from trioecho.bench.target import Target
from trioecho.bench.track import Faults, Track
from trioecho.bench.unpacker import Point, Unpacker
from trioecho.protocol.frames import Opcode

__all__ = ["Load", "Sample", "Seat"]

SETTLE = 0.5
"""Seconds of quiet after connecting: servers finish their handshakes before their memory is read."""

DRAIN_LIMIT = 60.0
"""Seconds after the measurement in which a server that is behind may still deliver, while it does."""

BESIDE_LIMIT = 86400.0
"""Seconds that connecting may take in all; each handshake has its own limit."""

SLICE = 0.002
"""Seconds of connecting in one turn of the loop."""

CLOSE_LIMIT = 5.0
"""Seconds in which the server may answer the closing handshakes."""

NORMAL_CLOSURE = (1000).to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Seat:
    """A connection to make: its room, the stream that it publishes, and whether it is cut on the way."""

    room: int
    own: Stream | None = None
    leaves: bool = False


@dataclass(slots=True)
class Sample:
    """What had been used and done at one moment; a report shows the differences of samples."""

    wall: float = field(default_factory=time.perf_counter)
    own_cpu: float = field(default_factory=time.process_time)
    server_cpu: float = 0.0
    server_memory: int = 0
    sent: int = 0
    delivered: int = 0
    received: int = 0


class Load:
    """One run against one server. :meth:`run` is called once; what it found is in the attributes."""

    def __init__(self, plan: Plan, target: Target, lines: Sequence[bytes] = ()) -> None:
        self.plan = plan
        self.target = target
        self.unpackers: list[Unpacker] = []
        """Those of the receivers for which the server compresses."""
        self._lines = lines
        self.faults = Faults()
        self.latency = Latency()
        self.streams: list[Stream] = []
        self.samples: dict[str, Sample] = {}
        """
        By moment: ``start`` of connecting, all ``made``, and ``connected`` when the server has settled;
        ``begin`` and ``end`` of the measurement.
        """
        self.stalled = ""
        """How the server stopped delivering, as the end of a sentence; empty if it did not."""
        self.overdue = 0
        """Messages that were due and could not even be sent: the server was that far behind."""
        self.unanswered = 0
        """Closing handshakes that the server did not answer in time."""
        self.process_ended = False
        """Whether the server's process was gone before the run was over."""
        self.tell: Callable[[str], None] = lambda phase: None
        """Called some times a second with the name of the phase: for a display of progress."""
        self.tickets = Tickets() if plan.resume else None
        """The TLS sessions, if they are to be resumed."""
        self._opened: list[Stream] = []
        self._loop = Loop(self.faults, self._opened)
        self._seen = -1
        self._progress = 0

    @property
    def connecting(self) -> float:
        """Seconds from the first handshake's beginning to the last one's end."""
        return self.samples["made"].wall - self.samples["start"].wall

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return len(self._loop.receivers)

    @property
    def delivered(self) -> int:
        """How many messages all receivers have got together."""
        return sum(stream.delivered for stream in self.streams)

    def run(self) -> None:
        """
        Do it all.

        Raises:
            DialError: not all connections could be made.
            ProcessError: the server's process cannot be looked at when it begins.

        """
        try:
            seats = list(self._seats())
            self._sample("start")
            self._connect(seats)
            if self.plan.pid is not None:
                self._turn("settling", SETTLE)
            self._sample("connected")
            if self.plan.mode == "idle":
                self._sample("begin")
                self._turn("idle", self.plan.duration)
                self._sample("end")
            elif self.plan.sends:
                self._send()
            self._close()
        finally:
            self._loop.close()

    def _seats(self) -> Iterator[Seat]:
        """Whom to connect, in this order; makes the streams and their messages."""
        plan = self.plan
        per_room = plan.publishers if plan.sends else 0
        self.streams = [self._stream(number) for number in range(plan.rooms * per_room)]
        for number in range(plan.stayed if plan.mode == "storm" else 0):
            yield Seat(number % plan.rooms)
        for number in range(plan.subscribers):
            yield Seat(number % plan.rooms, leaves=plan.mode == "storm")
        for number, stream in enumerate(self.streams):
            yield Seat(number // per_room, stream)

    def _connect(self, seats: Sequence[Seat]) -> None:
        first, *rest = (self.target.room(seat.room, self.plan.rooms) for seat in seats)
        sources = Sources(self.plan.sources, self.plan.connections)
        self._route, dialled = find_route(self.target, first, sources, self.tickets)
        points: dict[tuple[int, bool], Point] = {}
        self._take(seats[0], dialled, points)
        with Dialler(self._route, rest, at_once=self.plan.at_once) as dialler:

            def advance() -> bool:
                dialler.step(budget=SLICE)
                for number, made in dialler.taken():
                    if isinstance(made, DialError):
                        raise made
                    if isinstance(made, OSError):
                        problem = f"{self.target} took some connections, then one failed: {said(made)}"
                        raise DialError(problem) from made
                    self._take(seats[number + 1], made, points)
                if dialler.finished and "made" not in self.samples:  # before the loop notices it
                    self._sample("made")
                return dialler.eager

            if rest:
                self._beside("connecting", dialler, advance, lambda: dialler.finished)
        if "made" not in self.samples:
            self._sample("made")

    def _beside(
        self, phase: str, dialler: Dialler, advance: Callable[[], bool], finished: Callable[[], bool]
    ) -> None:
        """Let the loop turn until ``finished``, with connections being made between all else."""
        # Who is connected already is read meanwhile: its server may ask whether it is alive.
        self._loop.also_wait_for(dialler.fileno())
        self._loop.background = advance
        self._turn(phase, BESIDE_LIMIT, finished)
        self._loop.background = None
        self._loop.no_longer_wait_for(dialler.fileno())

    def _take(self, seat: Seat, dialled: Dialled, points: dict[tuple[int, bool], Point]) -> Receiver:
        """Let a connection take its seat; ``points`` are where the rooms' compressed messages begin."""
        connected, early, keeps_past = dialled
        plan, publishers = self.plan, len(self.streams) // self.plan.rooms
        audible = self.streams[seat.room * publishers : (seat.room + 1) * publishers]
        tracks = [
            self._track(seat, stream) for stream in audible if stream is not seat.own or plan.to == "everyone"
        ]
        unpacker = None
        if keeps_past is not None:
            start = points.setdefault((seat.room, keeps_past), Point(keeps_past=keeps_past))
            self.unpackers.append(unpacker := Unpacker(start))
        receiver = Receiver(LoadConnection(connected, seat.own), tracks, self.faults, unpacker)
        self._loop.add(receiver, early)
        return receiver

    def _stream(self, number: int) -> Stream:
        return Stream(self._messages(number), self.plan.in_flight, self.latency, self._opened)

    def _messages(self, number: int) -> Messages:
        plan = self.plan
        return Messages(number, count=plan.ring, size=plan.size, text=plan.text, lines=self._lines)

    def _track(self, seat: Seat, stream: Stream) -> Track:
        return Track(stream)

    def _send(self) -> None:
        now = time.perf_counter_ns()
        self._loop.pace = pace = (
            Flood(self.streams) if self.plan.mode == "flood" else Paced(self.streams, self.plan.rate, now)
        )
        self._loop.start()
        self._turn("warming up", self.plan.warmup)
        self._sample("begin")
        self.latency.since = time.perf_counter_ns()
        self._turn("measuring", self.plan.duration)
        self._sample("end")
        self._after_measuring()
        pace.stop(time.perf_counter_ns())
        self._turn("draining", DRAIN_LIMIT, lambda: pace.overdue == 0 and not self._in_flight())
        self.overdue = pace.overdue
        self._loop.pace = Silence()

    def _after_measuring(self) -> None:
        """Whatever is to happen while messages still flow."""

    def _close(self) -> None:
        self._loop.closing = True
        for receiver in list(self._loop.receivers):
            self._loop.send_control(receiver, Opcode.CLOSE, NORMAL_CLOSURE)
        self._turn("closing", CLOSE_LIMIT, lambda: not self._loop.receivers)
        self.unanswered = self.connected

    def _turn(self, phase: str, seconds: float, finished: Callable[[], bool] = lambda: False) -> None:
        """Let the loop turn for so long, or until ``finished``, a stall, or until everybody is gone."""
        until = time.perf_counter_ns() + int(seconds * SECOND)
        self._progress = time.perf_counter_ns()
        watched = self.plan.sends and phase not in ("connecting", "settling", "closing")

        def on_tick(now: int) -> bool:
            self.tell(phase)
            if watched and not self.stalled:
                self.stalled = self._standstill(now)
            gone = not self._loop.receivers and self._loop.background is None
            return finished() or gone or (watched and bool(self.stalled))

        self._loop.run(until, on_tick)

    def _standstill(self, now: int) -> str:
        """Return how the server stalled, if it did."""
        delivered = self.delivered
        if delivered != self._seen or not self._in_flight():
            self._seen, self._progress = delivered, now
        if now - self._progress <= self.plan.stall * SECOND:
            return ""
        return f"with messages in flight it delivered nothing for {self.plan.stall:g} s"

    def _in_flight(self) -> bool:
        return any(stream.in_flight for stream in self.streams)

    def _sample(self, moment: str) -> None:
        sample = Sample()
        if self.plan.pid is not None and not self.process_ended:
            try:
                sample.server_cpu = cpu_seconds(self.plan.pid)
                sample.server_memory = resident_bytes(self.plan.pid)
            except ProcessError:
                if moment == "start":
                    raise
                self.process_ended = True
        sample.sent = sum(stream.sent for stream in self.streams)
        sample.delivered = self.delivered
        sample.received = sum(unpacker.received for unpacker in self.unpackers)
        self.samples[moment] = sample
