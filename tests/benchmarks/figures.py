"""What is read from the reports of the load generator: a row's figures, and which side was the slower one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Figure", "Of", "Report", "busy", "cpu", "growth", "handshake", "kilobytes", "latency"]

Report = dict[str, Any]
"""What ``trioecho bench --json`` prints."""

Of = Callable[[list[Report]], float]
"""Takes the reports of a row's runs."""


@dataclass(frozen=True)
class Figure:
    """
    One figure of a row, and the most it may be for trioecho.

    ``goals``: a factor for each peer it is measured by. ``most``: a number that needs no peer.
    """

    name: str
    of: Of
    goals: dict[str, float] = field(default_factory=dict)
    digits: int = 2
    most: float | None = None


def cpu(run: int = 0) -> Of:
    """CPU of the server in µs a delivery, in one of the runs."""
    return lambda reports: float(reports[run]["server"]["cpu_us_per_delivery"])


def latency(percentile: str) -> Of:
    """A percentile of the latencies, in ms."""
    return lambda reports: float(reports[0]["latency_ms"][percentile])


def handshake(reports: list[Report]) -> float:
    """CPU of the server in µs a connection."""
    return float(reports[0]["server"]["cpu_us_per_connection"])


def kilobytes(run: int = 0) -> Of:
    """Memory of the server in kB a connection, in one of the runs."""
    return lambda reports: float(reports[run]["server"]["memory_bytes_per_connection"]) / 1000


def growth(of: Callable[[int], Of]) -> Of:
    """How many times a figure of the first run it is in the second."""
    return lambda reports: of(1)(reports) / of(0)(reports)


def busy(report: Report) -> tuple[float, float]:
    """Return the shares of a core that the load generator and the server used in what a run is about."""
    load, server, mode = report["load"], report["server"], report["plan"]["mode"]
    if mode == "connect":
        return load["busy_connecting"], server["busy_connecting"]
    if mode == "storm":
        return report["storm"]["load_busy"], report["storm"]["server_busy"]
    return load["busy"], server["busy"]
