"""One run, phase by phase: connect, warm up, measure, drain, close."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from trioecho.bench.connection import LoadConnection
from trioecho.bench.dial import dial_all
from trioecho.bench.latency import Latency
from trioecho.bench.loop import Loop
from trioecho.bench.messages import Messages
from trioecho.bench.pace import SECOND, Flood, Paced, Silence
from trioecho.bench.plan import Plan
from trioecho.bench.process import cpu_seconds, resident_bytes
from trioecho.bench.receiver import Receiver
from trioecho.bench.stream import Stream
from trioecho.bench.target import Target
from trioecho.bench.track import Faults, Track
from trioecho.protocol.frames import Opcode

__all__ = ["Load", "Sample"]

SETTLE = 0.5
"""Seconds of quiet after connecting: servers finish their handshakes before their memory is read."""

DRAIN_LIMIT = 60.0
"""Seconds after the measurement in which a server that is behind may still deliver, while it does."""

CLOSE_LIMIT = 5.0
"""Seconds in which the server may answer the closing handshakes."""

NORMAL_CLOSURE = (1000).to_bytes(2, "big")


@dataclass(slots=True)
class Sample:
    """What had been used and done at one moment; a report shows the differences of samples."""

    wall: float = field(default_factory=time.perf_counter)
    own_cpu: float = field(default_factory=time.process_time)
    server_cpu: float = 0.0
    server_memory: int = 0
    sent: int = 0
    delivered: int = 0


class Load:
    """One run against one server. :meth:`run` is called once; what it found is in the attributes."""

    def __init__(self, plan: Plan, target: Target) -> None:
        self.plan = plan
        self.target = target
        self.faults = Faults()
        self.latency = Latency()
        self.streams: list[Stream] = []
        self.samples: dict[str, Sample] = {}
        """By moment: ``start``, ``connected``, ``begin`` and ``end`` of the measurement."""
        self.stalled = False
        """Whether the server stopped delivering with messages in flight."""
        self.overdue = 0
        """Messages that were due and could not even be sent: the server was that far behind."""
        self.unanswered = 0
        """Closing handshakes that the server did not answer in time."""
        self.connecting = 0.0
        """Seconds that all the handshakes took together."""
        self.tell: Callable[[str], None] = lambda phase: None
        """Called some times a second with the name of the phase: for a display of progress."""
        self._opened: list[Stream] = []
        self._loop = Loop(self.faults, self._opened)
        self._seen = -1
        self._progress = 0

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
            ProcessError: the server's process cannot be looked at.

        """
        try:
            self._sample("start")
            self._connect()
            if self.plan.pid is not None:
                self._turn("settling", SETTLE)
            self._sample("connected")
            if self.plan.mode != "connect":
                self._send()
            self._close()
        finally:
            self._loop.close()

    def _connect(self) -> None:
        plan, rooms = self.plan, range(self.plan.rooms)
        per_room = plan.publishers if plan.mode != "connect" else 0
        self.streams = [self._stream(number) for number in range(len(rooms) * per_room)]
        places = [(number % len(rooms), None) for number in range(plan.subscribers)]
        speakers = [(number // per_room, stream) for number, stream in enumerate(self.streams)]
        seats: list[tuple[int, Stream | None]] = [*places, *speakers]
        paths = [self.target.room(room, len(rooms)) for room, _ in seats]
        for (room, own), (connected, early) in zip(seats, dial_all(self.target, paths), strict=True):
            audible = self.streams[room * per_room : (room + 1) * per_room]
            tracks = [Track(stream) for stream in audible if stream is not own or plan.to == "everyone"]
            self._loop.add(Receiver(LoadConnection(connected, own), tracks, self.faults), early)
            if self.connected % 100 == 0:
                self.tell("connecting")
        self.connecting = time.perf_counter() - self.samples["start"].wall

    def _stream(self, number: int) -> Stream:
        plan = self.plan
        messages = Messages(number, count=plan.ring, size=plan.size, text=plan.text)
        return Stream(messages, plan.in_flight, self.latency, self._opened)

    def _send(self) -> None:
        now = time.perf_counter_ns()
        self._loop.pace = pace = (
            Paced(self.streams, self.plan.rate, now) if self.plan.mode == "paced" else Flood(self.streams)
        )
        self._loop.start()
        self._turn("warming up", self.plan.warmup)
        self._sample("begin")
        self.latency.since = time.perf_counter_ns()
        self._turn("measuring", self.plan.duration)
        self._sample("end")
        pace.stop(time.perf_counter_ns())
        self._turn("draining", DRAIN_LIMIT, lambda: pace.overdue == 0 and not self._in_flight())
        self.overdue = pace.overdue
        self._loop.pace = Silence()

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
        watched = phase in ("warming up", "measuring", "draining")

        def on_tick(now: int) -> bool:
            self.tell(phase)
            if watched and self._stands_still(now):
                self.stalled = True
            return finished() or not self._loop.receivers or (watched and self.stalled)

        self._loop.run(until, on_tick)

    def _stands_still(self, now: int) -> bool:
        delivered = self.delivered
        if delivered != self._seen or not self._in_flight():
            self._seen, self._progress = delivered, now
        return now - self._progress > self.plan.stall * SECOND

    def _in_flight(self) -> bool:
        return any(stream.in_flight for stream in self.streams)

    def _sample(self, moment: str) -> None:
        sample = Sample()
        if self.plan.pid is not None:
            sample.server_cpu = cpu_seconds(self.plan.pid)
            sample.server_memory = resident_bytes(self.plan.pid)
        sample.sent = sum(stream.sent for stream in self.streams)
        sample.delivered = self.delivered
        self.samples[moment] = sample
