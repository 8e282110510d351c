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

CLIENTS_A_TURN = 20
"""After so many, others get their turn: clients that came with one token end together."""


class Expiry:
    """
    The clients whose rights end, by when that is.

    The queue has numbers and no clients, so that nothing is kept of those who have left.
    """

    def __init__(self) -> None:
        self._numbers: dict[BaseConnection, int] = {}
        self._clients: dict[int, BaseConnection] = {}
        self._queue: list[tuple[float, int]] = []
        self._number = count()
        self._changed = trio.Event()

    def add(self, client: BaseConnection, expires_at: float | None) -> None:
        """Disconnect ``client`` at ``expires_at`` (Unix time in seconds); never, if that is ``None``."""
        if expires_at is not None:
            number = self._numbers[client] = next(self._number)
            self._clients[number] = client
            heappush(self._queue, (trio.current_time() + expires_at - time.time(), number))
            self._changed.set()

    def remove(self, client: BaseConnection) -> None:
        """Forget ``client``."""
        number = self._numbers.pop(client, None)
        if number is None:
            return
        del self._clients[number]
        if len(self._queue) > 2 * len(self._clients) + SPARE:
            self._queue = [entry for entry in self._queue if entry[1] in self._clients]
            heapify(self._queue)

    async def run(self) -> None:
        """Disconnect them in time, until cancelled."""
        while True:
            now, ended = trio.current_time(), 0
            while self._queue and self._queue[0][0] <= now:
                client = self._clients.get(heappop(self._queue)[1])
                if client is not None:
                    self.remove(client)
                    client.disconnect(EXPIRED)
                    ended += 1
                    if ended % CLIENTS_A_TURN == 0:
                        await trio.lowlevel.checkpoint()
            client = None
            self._changed = trio.Event()
            with trio.CancelScope(deadline=self._queue[0][0] if self._queue else float("inf")):
                await self._changed.wait()
