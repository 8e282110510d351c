"""
Keepalive: one task pings all clients in turn and finds the dead.

One task for all rather than one a client, because an idle client should cost little memory. Both waits
are of a fixed length, so two queues in order of time are all the bookkeeping.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio

from trioecho.disconnect import DEAD, Disconnect
from trioecho.settings import Settings

__all__ = ["Keepalive"]


class Pinged(Protocol):
    """What keepalive needs of a client."""

    def ping(self) -> None:
        """Send a ping if the connection takes one now."""

    def alive_since(self, asked: float) -> bool:
        """Whether the client gave a sign of life after ``asked`` (trio time)."""

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect the client."""


class Keepalive:
    """
    Pings every client each ``ping_interval``, and disconnects who then shows no life for ``ping_timeout``.

    So a dead client is found at most interval plus timeout after its last sign of life, whatever the
    ratio of the two.
    """

    def __init__(self, limits: Settings) -> None:
        self._limits = limits
        # When each client's next ping is due, and which answers are: (due, asked, client).
        self._pings: dict[Pinged, float] = {}
        self._answers: deque[tuple[float, float, Pinged]] = deque()

    def add(self, client: Pinged) -> None:
        """Begin to ping ``client``."""
        if self._limits.pings:
            self._pings[client] = trio.current_time() + self._limits.ping_interval

    def remove(self, client: Pinged) -> None:
        """Leave ``client`` in peace."""
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
