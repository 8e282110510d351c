"""How long closing a connection may take: one deadline, whatever the server does meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

__all__ = ["CloseTimer", "time_to_close"]

UNHURRIED = 128 * 1024
"""So much that is still to be sent (bytes) has no effect on the deadline."""

SLOWEST = 64 * 1024
"""How fast a server must at least take the rest (bytes a second)."""


def time_to_close(close_timeout: float, unwritten: int) -> float:
    """Return how long closing may take in all (seconds), with so many bytes still to be sent."""
    return close_timeout + max(0, unwritten - UNHURRIED) / SLOWEST


class CloseTimer:
    """
    A deadline for what runs in :attr:`scope`: none at first, and only ever moved forward by :meth:`limit`.

    It is absolute, so a server that goes on sending does not gain time by it. Only time in which our own
    program keeps the server waiting does not count: see :meth:`paused`.
    """

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self._left: float | None = None  # while paused: the seconds that remain afterwards

    def limit(self, seconds: float) -> None:
        """End within so many seconds from now, or sooner if that was asked for before."""
        if self._left is None:
            self.scope.deadline = min(self.scope.deadline, trio.current_time() + seconds)
        else:
            self._left = min(self._left, seconds)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock in this block, in which the program is waited for and not the server."""
        self._left = self.scope.deadline - trio.current_time()
        self.scope.deadline = float("inf")
        try:
            yield
        finally:
            self.scope.deadline, self._left = trio.current_time() + self._left, None
