"""The troubles with an engine: what is wrong with it now, and what the log has been told of that."""

from __future__ import annotations

import logging

from trioecho.log import log_event

__all__ = ["Troubles"]

MOST = 100
"""So many reasons for one absence are logged."""


class Troubles:
    """
    The troubles of one node with its engine.

    Attributes:
        now: why it is away; empty if it is not.

    """

    def __init__(self) -> None:
        self.now = ""
        self._told: set[str] = set()  # what the log has had since the engine was there
        self._policy: str | None = None

    def lost(self, host: str, why: str) -> None:
        """Take notice that the engine is away; the log says why, once for each reason."""
        self.now = f"{host}: {why}"
        if self.now not in self._told and len(self._told) < MOST:
            self._told.add(self.now)
            log_event(logging.WARNING, "engine-lost", host=host, why=why)

    def over(self) -> None:
        """Take notice that it is there again."""
        self.now = ""
        self._told.clear()

    def evicts(self, policy: str | None) -> None:
        """Take notice by which policy it evicts rooms, if it does; the log says so when that changes."""
        if policy is not None and policy != self._policy:
            log_event(logging.WARNING, "engine-evicts", policy=policy)
        self._policy = policy
