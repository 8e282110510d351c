"""The work that servers are compared at: what the load generator is told, which figure counts, the goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from figures import Figure, Of, Report, cpu, growth, handshake, kilobytes, latency
from peers import BROKERS, COMPRESSING, PEERS

__all__ = ["FAST", "ROWS", "Row"]

FAST = ("trioecho", "bun", "socketify", "picows", "websockets")
"""For work that takes the other servers so long that it says nothing more about them."""


@dataclass(frozen=True)
class Row:
    """
    One kind of work: its runs, each on a fresh server; ``peers`` only, if there are any.

    With a ``corpus`` it is about compression: the load generator offers it, and its messages are such JSON.
    ``environment`` is what all servers find in theirs.
    """

    name: str
    work: str
    runs: tuple[str, ...]
    figures: tuple[Figure, ...]
    peers: tuple[str, ...] = ()
    tls: bool = False
    corpus: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def concerns(self, peer: str, *, goals_only: bool) -> bool:
        """Whether a peer is measured at this work; ``goals_only`` leaves those that a goal speaks of."""
        if goals_only:
            return peer == "trioecho" or any(peer in figure.goals for figure in self.figures)
        return peer in self.peers if self.peers else peer not in (*COMPRESSING, *BROKERS)


CPU = "CPU µs a delivery"
HANDSHAKE = "CPU µs a handshake"

BROKER_GOALS = dict.fromkeys(BROKERS, 1.0)
"""Other people's brokers, in plain fan-out."""

EVERYBODY = tuple(peer.name for peer in PEERS if peer.only_for != "compression")

WITH_COMPRESSION = ("trioecho", *COMPRESSING)


def _storm(name: str) -> Of:
    return lambda reports: float(reports[0]["storm"][name])


def _stayed(part: str) -> Of:
    return lambda reports: float(reports[0]["storm"][f"stayed_{part}_ms"]["p99"])


def _idle(run: int) -> Of:
    return lambda reports: float(reports[run]["server"]["busy"]) * 1000


def _bytes(reports: list[Report]) -> float:
    return float(reports[0]["bytes_per_delivery"])


def _compressed(kind: str, size: int, of_bun: float) -> Row:
    """A room of listeners under load; ``of_bun``: how many of Bun's bytes there may be."""
    cpu_of, bytes_of = {"trioecho-plain": 1.8, "bun-deflate": 1 / 40}, {"websockets-deflate": 1.1}
    return Row(
        f"{kind}-64",
        f"{kind} of {size} B as JSON, 200 subscribers, 64 in flight",
        (f"--subscribers 200 --window 64 --size {size}",),
        (
            Figure(CPU, cpu(), cpu_of, 3),
            Figure("bytes a delivery", _bytes, {"bun-deflate": of_bun, **bytes_of}, 0),
        ),
        WITH_COMPRESSION,
        corpus=kind,
    )


def _lone_compressed(kind: str, size: int) -> Row:
    return Row(
        f"{kind}-1",
        f"the same, {kind}, one in flight",
        (f"--subscribers 200 --window 1 --size {size}",),
        (Figure(CPU, cpu(), {"trioecho-plain": 1.15}), Figure("bytes a delivery", _bytes, {}, 0)),
        WITH_COMPRESSION,
        corpus=kind,
    )


ROWS = (
    Row(
        "fan-200",
        "200 subscribers, 64 in flight",
        ("--subscribers 200 --window 64",),
        (
            Figure(
                CPU, cpu(), {"bun": 0.7, "websockets": 1 / 30, "websockets-trio": 1 / 150, **BROKER_GOALS}, 3
            ),
        ),
        EVERYBODY,
    ),
    Row(
        "fan-1000",
        "1,000 subscribers, 64 in flight",
        ("--subscribers 1000 --window 64",),
        (Figure(CPU, cpu(), {"bun": 0.8}, 3),),
        FAST,
    ),
    Row(
        "fan-4000",
        "4,000 subscribers, 16 in flight",
        ("--subscribers 4000 --window 16",),
        (Figure(CPU, cpu(), {"bun": 1.0}, 3),),
        FAST,
    ),
    Row(
        "fan-19000",
        "19,000 subscribers, 1 msg/s",
        ("--subscribers 19000 --mode paced --rate 1 --duration 6",),
        (Figure(CPU, cpu(), {"bun": 1.0}), Figure("p99 ms", latency("p99"), {"bun": 1.0}, 1)),
        FAST,
    ),
    Row(
        "fan-4k",
        "200 subscribers, 4 KiB messages, 64 in flight",
        ("--subscribers 200 --window 64 --size 4096",),
        (Figure(CPU, cpu(), {"bun": 0.75}, 3),),
    ),
    Row(
        "paced-2000",
        "200 subscribers, paced 2,000 msg/s",
        ("--subscribers 200 --mode paced --rate 2000",),
        (Figure("p99 ms", latency("p99"), {"bun": 1.0}),),
    ),
    Row(
        "paced-50",
        "200 subscribers, paced 50 msg/s",
        ("--subscribers 200 --mode paced --rate 50",),
        (Figure("p50 ms", latency("p50"), {"picows": 1.2}),),
    ),
    Row(
        "lone-message",
        "200 subscribers, one in flight",
        ("--subscribers 200 --window 1",),
        (Figure(CPU, cpu(), {"picows": 1.1, **BROKER_GOALS}),),
        EVERYBODY,
    ),
    Row(
        "one-64",
        "1 subscriber, 64 in flight",
        ("--subscribers 1 --window 64",),
        (Figure(CPU, cpu(), {"picows": 0.8}),),
    ),
    Row(
        "one-1",
        "1 subscriber, one in flight",
        ("--subscribers 1 --window 1",),
        (Figure(CPU, cpu(), {"websockets": 0.9}, 1),),
    ),
    Row(
        "rooms",
        "100 rooms of 10, every client publishing 2 msg/s",
        ("--rooms 100 --subscribers 0 --publishers 10 --mode paced --rate 2",),
        (
            Figure(CPU, cpu(), {"websockets": 1.0}),
            Figure("p99 ms", latency("p99"), {"websockets": 1.0}),
        ),
    ),
    Row(
        "handshakes-1",
        "4,000 handshakes, one after another",
        ("--mode connect --subscribers 4000 --at-once 1",),
        (Figure(HANDSHAKE, handshake, {"websockets": 0.9}, 0),),
    ),
    Row(
        "handshakes-100",
        "4,000 handshakes, 100 at a time",
        ("--mode connect --subscribers 4000",),
        (Figure(HANDSHAKE, handshake, {"websockets": 0.9}, 0),),
    ),
    Row(
        "storm",
        "5,000 of a room of 10 msg/s are cut and come back, 100 stay",
        ("--storm --subscribers 5000 --duration 4",),
        (
            Figure("s until all have a message", _storm("seconds_to_message"), {"bun": 1.5}),
            Figure("p99 ms of those who stay", _stayed("during"), {}, 1),
            Figure(
                "p99 of those who stay, by that before",
                lambda reports: _stayed("during")(reports) / _stayed("before")(reports),
                most=2.0,
            ),
        ),
        FAST,
    ),
    Row(
        "idle",
        "4,000 idle connections, then 19,000, a ping every 5 s",
        (
            "--mode idle --subscribers 4000 --warmup 0 --duration 10",
            "--mode idle --subscribers 19000 --warmup 0 --duration 10",
        ),
        (
            Figure("kB each of 4,000", kilobytes(0), {"websockets": 0.8}, 1),
            Figure("kB each of 19,000", kilobytes(1), {"websockets": 0.8}, 1),
            Figure("growth of that", growth(kilobytes), most=1.0),
            Figure("CPU ms a second, 4,000", _idle(0), {"websockets": 0.8}, 0),
            Figure("CPU ms a second, 19,000", _idle(1), {"websockets": 0.8}, 0),
        ),
        FAST,
        environment={"TRIOECHO_PING_INTERVAL": "5", "PING_INTERVAL": "5"},
    ),
    Row(
        "wss",
        "wss, 200 subscribers, 64 in flight",
        ("--subscribers 200 --window 64",),
        (Figure(CPU, cpu(), {"bun": 1.2, "websockets": 1 / 10}, 3),),
        tls=True,
    ),
    Row(
        "wss-lone",
        "wss, 200 subscribers, one in flight",
        ("--subscribers 200 --window 1",),
        (Figure(CPU, cpu(), {"bun": 1.2}),),
        tls=True,
    ),
    Row(
        "wss-handshakes",
        "wss, 2,000 handshakes, 100 at a time",
        ("--mode connect --subscribers 2000",),
        (
            Figure(HANDSHAKE, handshake, {"bun": 1.5}, 0),
            Figure("kB each, idle", kilobytes(0), {"bun": 1.2}, 1),
        ),
        tls=True,
    ),
    Row(
        "wss-resumed",
        "the same, resumed",
        ("--mode connect --subscribers 2000 --resume",),
        (Figure(HANDSHAKE, handshake, {"bun": 1.5}, 0),),
        tls=True,
    ),
    Row(
        "growth",
        "from 100 to 8,000 subscribers, 16 in flight",
        ("--subscribers 100 --window 16", "--subscribers 8000 --window 16"),
        (Figure("growth of CPU a delivery", growth(cpu), {"bun": 1.0}),),
        FAST,
    ),
    _compressed("telemetry", 480, 0.6),
    _compressed("ticker", 128, 0.4),
    _compressed("chat", 500, 0.75),
    _lone_compressed("telemetry", 480),
    _lone_compressed("ticker", 128),
    _lone_compressed("chat", 500),
    Row(
        "compressed-idle",
        "2,000 idle clients that offered compression",
        ("--mode connect --subscribers 2000",),
        (
            Figure(
                "kB a connection",
                kilobytes(),
                {"trioecho-plain": 1.07},
                1,
            ),
        ),
        WITH_COMPRESSION,
        corpus="ticker",
    ),
)
