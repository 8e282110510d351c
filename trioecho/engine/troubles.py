"""The troubles with an engine: what is wrong with it now, and what the log has been told of that."""

from __future__ import annotations

import logging

from trioecho.line_limiter import LineLimiter

__all__ = ["Troubles"]

MOST = 100
"""So many reasons for one absence are logged."""

MOST_LINES, LINES_SECONDS = 20, 60.0
"""So many lines of each kind are logged in a minute, however often the engine comes and goes."""


class Troubles:
    """
    The troubles of one node with its engine.

    Attributes:
        now: why it is away; empty if it is not.
        lines: what logs all about it, so many lines a minute.

    """

    def __init__(self) -> None:
        self.now = ""
        self.lines = LineLimiter(MOST_LINES, LINES_SECONDS)
        self._told: set[str] = set()  # what the log has had since the engine was there
        self._policy: str | None = None

    def lost(self, host: str, why: str) -> None:
        """Take notice that the engine is away; the log says why, once for each reason."""
        self.now = f"{host}: {why}"
        if self.now not in self._told and len(self._told) < MOST:
            if self.lines.log(logging.WARNING, "engine-lost", host=host, why=why):
                self._told.add(self.now)

    def over(self) -> None:
        """Take notice that it is there again."""
        self.now = ""
        self._told.clear()

    def evicts(self, policy: str | None) -> None:
        """Take notice by which policy it evicts rooms, if it does; the log says so when that changes."""
        if policy is not None and policy != self._policy:
            self.lines.log(logging.WARNING, "engine-evicts", policy=policy)
        self._policy = policy

    async def run(self) -> None:
        """Log how many lines were left out each minute and at the end, until cancelled."""
        try:
            await self.lines.run()
        finally:
            self.lines.flush()
