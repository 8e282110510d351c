"""
Expiry: one task disconnects those whose rights have ended.

One task for all, as for keepalives, and nothing at all for clients whose rights never end.
"""

from __future__ import annotations

import time
from heapq import heapify, heappop, heappush
from itertools import count

import trio

from trioecho.disconnect import EXPIRED
from trioecho.sessions.base_connection import BaseConnection

__all__ = ["Expiry"]

SPARE = 100
"""Entries of clients that have left that are kept before the queue is cleared of them."""


class Expiry:
    """The clients whose rights end, by when that is."""

    def __init__(self) -> None:
        self._due: dict[BaseConnection, float] = {}
        self._queue: list[tuple[float, int, BaseConnection]] = []
        self._number = count()
        self._changed = trio.Event()

    def add(self, client: BaseConnection, expires_at: float | None) -> None:
        """Disconnect ``client`` at ``expires_at`` (Unix time in seconds); never, if that is ``None``."""
        if expires_at is not None:
            due = trio.current_time() + expires_at - time.time()
            self._due[client] = due
            heappush(self._queue, (due, next(self._number), client))
            self._changed.set()

    def remove(self, client: BaseConnection) -> None:
        """Forget ``client``."""
        if self._due.pop(client, None) is not None and len(self._queue) > 2 * len(self._due) + SPARE:
            self._queue = [entry for entry in self._queue if entry[2] in self._due]
            heapify(self._queue)

    async def run(self) -> None:
        """Disconnect them in time, until cancelled."""
        while True:
            now = trio.current_time()
            while self._queue and self._queue[0][0] <= now:
                _, _, client = heappop(self._queue)
                if self._due.pop(client, None) is not None:
                    client.disconnect(EXPIRED)
            self._changed = trio.Event()
            with trio.CancelScope(deadline=self._queue[0][0] if self._queue else float("inf")):
                await self._changed.wait()
