"""
A limit on the log lines that others cause.

Anybody who can reach a server can make it log: a refused connection is a line, and a machine can be refused
some thousand times a second. :func:`trioecho.log.log_event` is for what happens as often as the server's
owner wants; a :class:`LineLimiter` for what happens as often as a stranger wants, or a machine that fails.
"""

from __future__ import annotations

import logging
from collections import Counter

import trio

from trioecho.log import log_event, logger

__all__ = ["LINES_PER_SECOND", "LineLimiter"]

LINES_PER_SECOND = 100
"""Enough to see what goes on, and some 20 KB a second of each kind at worst."""


class LineLimiter:
    """
    Logs at most so many events of each kind in ``seconds``, and then how many it left out.

    A kind is an event's name, of which a program has a few. Use it inside trio, by whose clock it goes.
    """

    def __init__(self, most: int = LINES_PER_SECOND, seconds: float = 1.0) -> None:
        self._most = most
        self._seconds = seconds
        self._lines: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._ends = 0.0
        self._begun = trio.Event()

    def log(self, level: int, event: str, **fields: object) -> bool:
        """Log ``event`` with its values, or count that it was left out, and return ``False``."""
        if not logger.isEnabledFor(level):
            return True
        now = trio.current_time()
        if now >= self._ends:
            self.flush()
            self._lines.clear()
            self._ends = now + self._seconds
        if self._lines[event] < self._most:
            self._lines[event] += 1
            log_event(level, event, **fields)
            return True
        self._left_out[event] += 1
        self._begun.set()
        return False

    def flush(self) -> None:
        """Log what was left out so far, as at the end of the server."""
        left_out, self._left_out = self._left_out, Counter()
        for event, count in left_out.items():
            log_event(logging.WARNING, "log-lines-left-out", kind=event, count=count)

    async def run(self) -> None:
        """
        Log what was left out at the end of each time, also if nothing of its kind ever happens again.

        Runs until it is cancelled, and sleeps until something has been left out.
        """
        while True:
            await self._begun.wait()
            self._begun = trio.Event()
            await trio.sleep_until(self._ends)
            self.flush()
