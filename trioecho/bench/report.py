"""What a run found: its figures for machines and for people, and the verdict."""

from __future__ import annotations

import dataclasses
from typing import Any

from trioecho.bench.load import Load, Sample
from trioecho.bench.storm import StormLoad
from trioecho.protocol.escape import quote

__all__ = ["Report"]

LONGEST_PREFIX = 60
"""How much of what a server puts before messages a report shows (characters)."""

SATURATED = 0.95
"""The share of a core above which a process is taken to be at its limit."""


class Report:
    """The figures of a finished run: seconds, if a name says nothing else."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._begin = load.samples.get("begin", Sample())
        self._end = load.samples.get("end", self._begin)
        self._pid = None if load.process_ended else load.plan.pid
        """The process whose CPU time is known for the whole run."""
        self.deliveries = self._end.delivered - self._begin.delivered
        self.seconds = self._end.wall - self._begin.wall
        self.load_cpu = self._end.own_cpu - self._begin.own_cpu
        self.server_cpu = self._end.server_cpu - self._begin.server_cpu

    @property
    def problems(self) -> list[str]:
        """What was wrong, each as one sentence; empty if every message reached everyone once, in order."""
        load, faults = self._load, self._load.faults
        said = {
            "lost": "deliveries were lost",
            "duplicated": "deliveries came twice",
            "out_of_order": "deliveries were out of order",
            "changed": "deliveries were changed by the server",
            "misdirected": "deliveries reached their own sender or another room",
        }
        counts = faults.counts()
        problems = [f"{counts[name]:,} {words}" for name, words in said.items() if counts[name]]
        if load.process_ended:
            problems.append(f"process {load.plan.pid} ended during the run")
        if load.stalled:
            problems.append(f"the server stalled: {load.stalled}")
        if load.overdue:
            problems.append(
                f"{load.overdue:,} messages were due and could not be sent: the server was that far behind"
            )
        for reason, clients in faults.reasons.items():
            problems.append(f"{clients:,} clients were disconnected: {reason}")
        return problems

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures should know, each as one sentence."""
        load, notes = self._load, []
        if load.unanswered:
            notes.append(f"{load.unanswered:,} closing handshakes were not answered")
        if load.faults.misdirected and load.plan.to == "others":
            notes.append("if the server sends a publisher its own messages on purpose, say --to everyone")
        if prefix := load.faults.prefix:
            notes.append(
                f"the server puts {quote(prefix.decode(errors='replace'), LONGEST_PREFIX)!r} before messages:"
                " start it without that (trioecho serve: without --prefix and TRIOECHO_PREFIX), or measure"
                " with --binary if it changes text only"
            )
        own, server = self._busy(self.load_cpu), self._busy(self.server_cpu)
        if self.deliveries and self._slower(own, server):
            used = f"it used {own:.0%} of a core" + (f", the server {server:.0%}" if self._pid else "")
            if load.plan.mode == "flood":
                notes.append(f"the load generator was the bottleneck ({used}): the server can do more")
            else:
                notes.append(f"the load generator was fully busy ({used}): the latencies are partly its own")
        if self._slower(*self._connecting()):
            notes.append(
                "the load generator was the slower side while it connected: the server can take more"
            )
        if isinstance(load, StormLoad) and self._slower(*self._storming(load)):
            notes.append("the load generator was the slower side in the storm: the server can be faster")
        if self._pid and load.plan.mode == "flood" and self.load_cpu > self.server_cpu > 0:
            notes.append("the load generator used more CPU a delivery than the server")
        return notes

    def figures(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        load = self._load
        return {
            "url": str(load.target.address),
            "plan": dataclasses.asdict(load.plan),
            "connections": load.plan.connections,
            "connections_per_second": load.plan.connections / load.connecting,
            "seconds": self.seconds,
            "messages": self._end.sent - self._begin.sent,
            "deliveries": self.deliveries,
            "deliveries_per_second": self.deliveries / self.seconds if self.seconds else 0.0,
            "compressed_connections": len(load.unpackers),
            "bytes_per_delivery": self._bytes_per_delivery(),
            "latency_ms": load.latency.milliseconds(),
            "faults": {**load.faults.counts(), "reasons": load.faults.reasons},
            "stalled": bool(load.stalled),
            "overdue": load.overdue,
            "load": {
                "cpu_us_per_delivery": self._per_delivery(self.load_cpu),
                "busy": self._busy(self.load_cpu),
                "busy_connecting": self._connecting()[0],
            },
            "server": self._server(),
            "resumed_tls_sessions": load.tickets.resumed if load.tickets else 0,
            "storm": self._storm(load) if isinstance(load, StormLoad) else None,
            "problems": self.problems,
            "notes": self.notes,
        }

    def _server(self) -> dict[str, float | None] | None:
        plan, samples = self._load.plan, self._load.samples
        if self._pid is None:
            return None
        start, connected = samples["start"], samples["connected"]
        handshakes = (connected.server_cpu - start.server_cpu) * 1e6
        memory = connected.server_memory - start.server_memory
        return {
            "cpu_us_per_delivery": self._per_delivery(self.server_cpu),
            "busy": self._busy(self.server_cpu),
            "busy_connecting": self._connecting()[1],
            "cpu_us_per_connection": handshakes / plan.connections,
            "memory_bytes_per_connection": memory / plan.connections,
        }

    def _storm(self, load: StormLoad) -> dict[str, Any]:
        own, server = self._storming(load)
        return {
            "clients": load.cut,
            "returned": load.returned,
            "reached": load.reached,
            "seconds_to_connect": load.connected_again if load.returned else None,
            "seconds_to_message": load.all_reached if load.reached else None,
            "handshakes_per_second": load.returned / load.connected_again if load.returned else 0.0,
            "stayed": load.plan.stayed,
            "stayed_before_ms": load.latency.milliseconds(),
            "stayed_during_ms": load.during.milliseconds(),
            "load_busy": own,
            "server_busy": server if self._pid else None,
            "server_cpu_us_per_client": self._cpu_of_storm(load),
        }

    def _cpu_of_storm(self, load: StormLoad) -> float | None:
        """Return what a client that left and came back cost, with all messages that flowed meanwhile."""
        if self._pid is None or not load.returned:
            return None
        used = load.samples.get("back", self._end).server_cpu - self._end.server_cpu
        return used * 1e6 / load.returned

    def _connecting(self) -> tuple[float, float]:
        """Return the shares of a core that both sides used while they made connections."""
        return self._shares(self._load.samples["start"], self._load.samples["made"])

    def _storming(self, load: StormLoad) -> tuple[float, float]:
        back = load.samples.get("back", self._end)
        return self._shares(self._end, back)

    @staticmethod
    def _shares(first: Sample, last: Sample) -> tuple[float, float]:
        if not (seconds := last.wall - first.wall):
            return 0.0, 0.0
        return (last.own_cpu - first.own_cpu) / seconds, (last.server_cpu - first.server_cpu) / seconds

    @staticmethod
    def _slower(own: float, server: float) -> bool:
        return own > SATURATED and own > server

    def _bytes_per_delivery(self) -> float | None:
        """Return what a delivery took, with its frame's header; where nothing is compressed it is known."""
        if self._load.unpackers:
            received = self._end.received - self._begin.received
            return received / self.deliveries if self.deliveries else None
        return float(self._load.streams[0].messages.length if self._load.streams else 0)

    def _per_delivery(self, seconds: float) -> float | None:
        return seconds * 1e6 / self.deliveries if self.deliveries else None

    def _busy(self, cpu: float) -> float:
        return cpu / self.seconds if self.seconds else 0.0

    def lines(self) -> list[str]:
        """Everything that matters, for a person."""
        figures, plan = self.figures(), self._load.plan
        server = figures["server"]
        lines = [f"{figures['connections']:,} connections, {figures['connections_per_second']:,.0f} a second"]
        if server:
            lines.append(
                f"a connection: {server['cpu_us_per_connection']:,.0f} µs of the server's CPU,"
                f" {server['memory_bytes_per_connection'] / 1000:,.1f} kB of its memory"
            )
        if self._load.tickets:
            lines.append(f"{figures['resumed_tls_sessions']:,} TLS handshakes resumed an earlier session")
        if server and plan.mode == "idle":
            lines.append(f"idle: {server['busy']:.2%} of a core of the server")
        if plan.sends:
            lines += [
                f"{figures['messages']:,} messages, {self.deliveries:,} deliveries in {self.seconds:.1f} s:"
                f" {figures['deliveries_per_second']:,.0f} a second",
                f"latency from when due, ms: {_percentiles(figures['latency_ms'])}",
            ]
            if self._load.unpackers and self.deliveries:
                each = figures["bytes_per_delivery"]
                lines.append(
                    f"{len(self._load.unpackers):,} connections compressed: {each:,.0f} bytes a delivery"
                )
            used = [("load generator", figures["load"])] + ([("server", server)] if server else [])
            if storm := figures["storm"]:
                lines += _storm_lines(storm)
            if self.deliveries:
                lines += [
                    f"{name}: {cpu['cpu_us_per_delivery']:,.3f} µs of CPU a delivery,"
                    f" {cpu['busy']:.0%} of a core"
                    for name, cpu in used
                ]
        lines += [f"note: {note}" for note in self.notes]
        return lines + ([f"WRONG: {problem}" for problem in self.problems] or self._verdict())

    def _verdict(self) -> list[str]:
        if not self._load.plan.sends:
            return ["every connection was made and kept"]
        return ["every message reached everyone once, in order"]


def _percentiles(values: dict[str, float | None]) -> str:
    shown = [f"{name} {value:,.2f}" for name, value in values.items() if value is not None]
    return "   ".join(shown) or "no delivery was measured"


def _storm_lines(storm: dict[str, Any]) -> list[str]:
    before, during = (_percentiles(storm[part]) for part in ("stayed_before_ms", "stayed_during_ms"))
    busy = f"load generator {storm['load_busy']:.0%} of a core"
    if storm["server_busy"] is not None:
        busy += f", server {storm['server_busy']:.0%}"
    if (cpu := storm["server_cpu_us_per_client"]) is not None:
        busy += f"; {cpu:,.0f} µs of the server's CPU a client, all told"
    return [
        f"storm: {_how_they_came_back(storm)}",
        f"the {storm['stayed']:,} who stayed, ms: before {before}",
        f"the {storm['stayed']:,} who stayed, ms: during {during}",
        f"in the storm: {busy}",
    ]


def _how_they_came_back(storm: dict[str, Any]) -> str:
    clients, returned, reached = storm["clients"], storm["returned"], storm["reached"]
    if not clients:
        return "nobody was left to be cut"
    if not returned:
        return f"{clients:,} clients were cut, and nobody came back"
    if not reached:
        heard = "none of them had a message"
    else:
        who = "" if reached == returned else f"{reached:,} of them "
        heard = f"{who}had a message after {storm['seconds_to_message']:.2f} s"
    return (
        f"{clients:,} clients were cut; {returned:,} were connected again after"
        f" {storm['seconds_to_connect']:.2f} s ({storm['handshakes_per_second']:,.0f} a second), and {heard}"
    )
