"""
A paced session: a WebSocket client that is held to a rate.

Only where a rate is set is there any of this, so that it costs nothing where none is.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio

from trioecho import disconnect
from trioecho.access.identity import ANYONE, Identity
from trioecho.http.upgrade import Upgrade
from trioecho.memory import Lease
from trioecho.rates import Rate, TokenBucket
from trioecho.sessions.state import ServerState
from trioecho.sessions.websocket import WebSocketSession
from trioecho.transport.closing import is_gone
from trioecho.transport.peer import Peer

__all__ = ["PacedSession"]


LOOK = 1.0
"""How often to look whether a client is gone that is not read from (seconds)."""


class Pace:
    """
    How many of a client's messages may pass now.

    A read may bring ten thousand messages, so it is messages that are let through one by one, not reads.
    """

    __slots__ = ("_bytes", "_bytes_paid", "_messages")

    def __init__(self, rate: Rate | None, rate_bytes: Rate | None) -> None:
        self._messages = None if rate is None else TokenBucket(rate)
        self._bytes = None if rate_bytes is None else TokenBucket(rate_bytes)
        self._bytes_paid = False  # for the next message, which waits for the other bucket

    def take(self, messages: Sequence[bytes]) -> tuple[int, float]:
        """Return how many messages (frames) may pass now, and how long the next must wait (seconds)."""
        for number, message in enumerate(messages):
            if self._bytes is not None and not self._bytes_paid:
                if wait := self._bytes.take(len(message)):
                    return number, wait
                self._bytes_paid = True
            if self._messages is not None and (wait := self._messages.take()):
                return number, wait
            self._bytes_paid = False
        return len(messages), 0.0


class PacedSession(WebSocketSession):
    """The session of a client that sends no faster than ``rate`` and ``rate_bytes``, or is disconnected."""

    __slots__ = ("_lease", "_pace")

    def __init__(
        self,
        state: ServerState,
        transport: trio.abc.Stream,
        peer: Peer,
        upgrade: Upgrade,
        identity: Identity = ANYONE,
    ) -> None:
        super().__init__(state, transport, peer, upgrade, identity)
        settings = state.settings
        self._lease: Lease | None = None  # of what waits
        self._pace = Pace(Rate.of(settings.rate), Rate.of(settings.rate_bytes))

    async def publish(self, messages: list[bytes]) -> None:
        """
        Hand the messages of one read to the room when their time has come.

        Until then nothing more is read from the client, which to the keepalive counts as alive. What is left
        when it is disconnected is discarded.
        """
        left = messages
        try:
            while True:
                # A room that drains takes no more: what is left of it is read, at any rate, and discarded.
                draining = self._state.hub.draining
                passing, wait = (len(left), 0.0) if draining else self._pace.take(left)
                now, left = left[:passing], left[passing:]
                if now:
                    await super().publish(now)
                if not left:
                    return
                if self._state.settings.over_rate == "disconnect":
                    self.disconnect(disconnect.OVER_RATE)
                    return
                if self._lease is None:
                    self._lease = Lease(self._state.hub.memory, sum(map(len, left)))
                if not await self._pause(wait):
                    return
        finally:
            self._lease = None
            if left:
                self._discard(len(left))

    async def _pause(self, seconds: float) -> bool:
        """Wait so long, and return whether the client is still there: nothing would say that it is gone."""
        until = trio.current_time() + seconds
        while (left := until - trio.current_time()) > 0:
            await trio.sleep(min(left, LOOK))
            if self._state.hub.draining:
                return True
            if is_gone(self._transport):
                self.disconnect(disconnect.LOST)
                return False
        return True

    @property
    def held_bytes(self) -> int:
        """What is held for it, with the messages that wait for their time (bytes)."""
        return super().held_bytes + (0 if self._lease is None or self._why is not None else self._lease.size)
