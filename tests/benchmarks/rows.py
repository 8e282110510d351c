"""The work that servers are compared at: what the load generator is told, which figure counts, the goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ROWS", "Figure", "Row"]

Report = dict[str, Any]
"""What ``trioecho bench --json`` prints."""

FAST = ("trioecho", "bun", "socketify", "picows", "websockets")
"""For work that takes the other servers so long that it says nothing more about them."""


def _cpu(reports: list[Report]) -> float:
    return float(reports[0]["server"]["cpu_us_per_delivery"])


def _latency(percentile: str) -> Callable[[list[Report]], float]:
    return lambda reports: float(reports[0]["latency_ms"][percentile])


def _growth(reports: list[Report]) -> float:
    return _cpu(reports[1:]) / _cpu(reports)


@dataclass(frozen=True)
class Figure:
    """
    One figure of a row, and the most it may be for trioecho: a factor for each peer it is measured by.

    ``of`` takes the reports of the row's runs.
    """

    name: str
    of: Callable[[list[Report]], float]
    goals: dict[str, float] = field(default_factory=dict)
    digits: int = 2


@dataclass(frozen=True)
class Row:
    """One kind of work: its runs, each on a fresh server; ``peers`` only, if there are any."""

    name: str
    work: str
    runs: tuple[str, ...]
    figures: tuple[Figure, ...]
    peers: tuple[str, ...] = ()
    tls: bool = False

    def concerns(self, peer: str, *, goals_only: bool) -> bool:
        """Whether a peer is measured at this work; ``goals_only`` leaves those that a goal speaks of."""
        if goals_only:
            return peer == "trioecho" or any(peer in figure.goals for figure in self.figures)
        return not self.peers or peer in self.peers


CPU = "CPU µs a delivery"

ROWS = (
    Row(
        "fan-200",
        "200 subscribers, 64 in flight",
        ("--subscribers 200 --window 64",),
        (Figure(CPU, _cpu, {"bun": 0.7, "websockets": 1 / 30, "websockets-trio": 1 / 150}, 3),),
    ),
    Row(
        "fan-1000",
        "1,000 subscribers, 64 in flight",
        ("--subscribers 1000 --window 64",),
        (Figure(CPU, _cpu, {"bun": 0.8}, 3),),
        FAST,
    ),
    Row(
        "fan-4000",
        "4,000 subscribers, 16 in flight",
        ("--subscribers 4000 --window 16",),
        (Figure(CPU, _cpu, {"bun": 1.0}, 3),),
        FAST,
    ),
    Row(
        "fan-4k",
        "200 subscribers, 4 KiB messages, 64 in flight",
        ("--subscribers 200 --window 64 --size 4096",),
        (Figure(CPU, _cpu, {"bun": 0.8}, 3),),
    ),
    Row(
        "paced-2000",
        "200 subscribers, paced 2,000 msg/s",
        ("--subscribers 200 --mode paced --rate 2000",),
        (Figure("p99 ms", _latency("p99"), {"bun": 1.0}),),
    ),
    Row(
        "paced-50",
        "200 subscribers, paced 50 msg/s",
        ("--subscribers 200 --mode paced --rate 50",),
        (Figure("p50 ms", _latency("p50"), {"picows": 1.2}),),
    ),
    Row(
        "lone-message",
        "200 subscribers, one in flight",
        ("--subscribers 200 --window 1",),
        (Figure(CPU, _cpu, {"picows": 1.1}),),
    ),
    Row(
        "one-64",
        "1 subscriber, 64 in flight",
        ("--subscribers 1 --window 64",),
        (Figure(CPU, _cpu, {"picows": 0.8}),),
    ),
    Row(
        "one-1",
        "1 subscriber, one in flight",
        ("--subscribers 1 --window 1",),
        (Figure(CPU, _cpu, {"websockets": 1.0}, 1),),
    ),
    Row(
        "rooms",
        "100 rooms of 10, every client publishing 2 msg/s",
        ("--rooms 100 --subscribers 0 --publishers 10 --mode paced --rate 2",),
        (
            Figure(CPU, _cpu, {"websockets": 1.0}),
            Figure("p99 ms", _latency("p99"), {"websockets": 1.0}),
        ),
    ),
    Row(
        "idle-4000",
        "4,000 connections",
        ("--mode connect --subscribers 4000",),
        (
            Figure(
                "memory kB each",
                lambda reports: reports[0]["server"]["memory_bytes_per_connection"] / 1000,
                {"websockets": 1.0},
                1,
            ),
            Figure(
                "CPU µs a handshake",
                lambda reports: float(reports[0]["server"]["cpu_us_per_connection"]),
                {"websockets": 1.0},
                0,
            ),
        ),
    ),
    Row(
        "wss",
        "wss, 200 subscribers, 64 in flight",
        ("--subscribers 200 --window 64",),
        (Figure(CPU, _cpu, {"websockets": 1 / 10}, 3),),
        tls=True,
    ),
    Row(
        "growth",
        "from 100 to 8,000 subscribers, 16 in flight",
        ("--subscribers 100 --window 16", "--subscribers 8000 --window 16"),
        (Figure("growth of CPU a delivery", _growth, {"bun": 1.0}),),
        FAST,
    ),
)
