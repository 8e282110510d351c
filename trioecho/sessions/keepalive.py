"""
Keepalive: one task pings all clients in turn and finds the dead.

One task for all rather than one a client, because an idle client should cost little memory. Both waits
are of a fixed length, so two queues in order of time are all the bookkeeping.
"""

from __future__ import annotations

from collections import deque

import trio

from trioecho.disconnect import DEAD
from trioecho.sessions.base_connection import BaseConnection
from trioecho.settings import Settings

__all__ = ["Keepalive"]


class Keepalive:
    """
    Pings every client each ``ping_interval``, and disconnects those that show no life in ``ping_timeout``.

    So a dead client is found at most interval plus timeout after its last sign of life, whatever the
    ratio of the two.
    """

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        # When each client's next ping is due, and which answers are: (due, asked, client).
        self._pings: dict[BaseConnection, float] = {}
        self._answers: deque[tuple[float, float, BaseConnection]] = deque()

    def add(self, client: BaseConnection) -> None:
        """Begin to ping ``client``."""
        if self._limits.pings:
            self._pings[client] = trio.current_time() + self._limits.ping_interval

    def remove(self, client: BaseConnection) -> None:
        """Stop pinging ``client``."""
        self._pings.pop(client, None)

    async def run(self) -> None:
        """Ping and check, until cancelled."""
        if not self._limits.pings:
            return
        while True:
            now = trio.current_time()
            while self._answers and self._answers[0][0] <= now:
                _, asked, client = self._answers.popleft()
                if client in self._pings and not client.alive_since(asked):
                    self.remove(client)
                    client.disconnect(DEAD)
            while self._pings:
                client, due = next(iter(self._pings.items()))
                if due > now:
                    break
                client.ping()
                del self._pings[client]
                self._pings[client] = now + self._limits.ping_interval
                self._answers.append((now + self._limits.ping_timeout, now, client))
            # A client who comes while this sleeps is due an interval from then at the earliest.
            wake = [now + self._limits.ping_interval]
            if self._pings:
                wake.append(next(iter(self._pings.values())))
            if self._answers:
                wake.append(self._answers[0][0])
            await trio.sleep_until(min(wake))
