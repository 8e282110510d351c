"""
Keepalive: one task pings all clients in turn and finds the dead.

One task for all rather than one a client, because an idle client should cost little memory. Both waits
are of a fixed length, so two queues in order of time are all the bookkeeping.
"""

from __future__ import annotations

import itertools
from collections import deque

import trio

from trioecho.disconnect import DEAD
from trioecho.sessions.base_connection import BaseConnection
from trioecho.settings import Settings

__all__ = ["Keepalive"]

CLIENTS_A_TURN = 50
"""After so many, others get their turn: a ping takes some ten microseconds, and clients that came together,
as after a restart, are due together."""

TOGETHER = 0.01
"""Clients that are due within so much of an interval are pinged together, the first of them that late: to
wake up for each alone costs more than the ping."""


class Keepalive:
    """
    Pings every client each ``ping_interval``, and disconnects those that show no life in ``ping_timeout``.

    So a dead client is found at most interval plus timeout, and a fiftieth of the interval, after its last
    sign of life, whatever the ratio of the two.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # When each client's next ping is due, and which answers are: (due, asked, client).
        self._pings: dict[BaseConnection, float] = {}
        self._answers: deque[tuple[float, float, BaseConnection]] = deque()

    def add(self, client: BaseConnection) -> None:
        """Begin to ping ``client``."""
        if self._settings.pings:
            self._pings[client] = trio.current_time() + self._settings.ping_interval

    def remove(self, client: BaseConnection) -> None:
        """Stop pinging ``client``."""
        self._pings.pop(client, None)

    async def run(self) -> None:
        """Ping and check, until cancelled."""
        if not self._settings.pings:
            return
        client: BaseConnection | None
        while True:
            now = trio.current_time()
            turn = itertools.count(1)
            while self._answers and self._answers[0][0] <= now:
                _, asked, client = self._answers.popleft()
                if client in self._pings and not client.alive_since(asked):
                    self.remove(client)
                    client.disconnect(DEAD)
                await _give_turn(turn)
            while self._pings:
                client, due = next(iter(self._pings.items()))
                if due > now:
                    break
                client.ping()
                del self._pings[client]
                self._pings[client] = now + self._settings.ping_interval
                self._answers.append((now + self._settings.ping_timeout, now, client))
                await _give_turn(turn)
            # A client who comes while this sleeps is due an interval from then at the earliest.
            wake = [now + self._settings.ping_interval]
            if self._pings:
                wake.append(next(iter(self._pings.values())))
            if self._answers:
                wake.append(self._answers[0][0])
            client = None  # or it would be kept until the next wakes this up, though it may have ended
            await trio.sleep_until(max(min(wake), now + TOGETHER * self._settings.ping_interval))


async def _give_turn(turn: itertools.count[int]) -> None:
    """Give others their turn after so many."""
    if next(turn) % CLIENTS_A_TURN == 0:
        await trio.lowlevel.checkpoint()
