"""One live line of progress on a terminal."""

from __future__ import annotations

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from trioecho.bench.load import Load

__all__ = ["Progress"]

INTERVAL = 0.25
"""Seconds between two updates: the eye needs no more, and drawing takes time from the load."""


class Progress:
    """
    A context manager; while it is entered, the load's phases and rates are shown on stderr.

    Drawn only between turns of the load's own loop: a thread that draws would disturb what is measured.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._drawn = 0.0
        self._delivered = 0

    def __enter__(self) -> None:
        """Begin to show."""
        self._live.start()
        self._load.tell = self._told

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._load.tell = lambda phase: None
        self._live.stop()

    def _told(self, phase: str) -> None:
        now = time.monotonic()
        passed = now - self._drawn
        if passed < INTERVAL:
            return
        load, delivered = self._load, self._load.delivered
        line = f"{phase:<11} {load.connected:>6,} of {load.plan.connections:,} connected"
        if delivered:
            line += f"   {(delivered - self._delivered) / passed:>11,.0f} deliveries/s"
        if load.faults:
            line += "   " + ", ".join(
                f"{count:,} {name}" for name, count in load.faults.counts().items() if count
            )
        self._live.update(Text(line.replace("_", " "), no_wrap=True, overflow="ellipsis"), refresh=True)
        self._drawn, self._delivered = now, delivered
