"""
A connection before it is a client: one request, which becomes a session or is answered no.

Floor 5: imports ``session`` and below.
"""

from __future__ import annotations

import logging

import trio

from trioecho import handshake
from trioecho.context import Context
from trioecho.disconnect import Disconnect
from trioecho.handshake import Handshake, Refusal, Upgrade
from trioecho.hub import TooManyRooms
from trioecho.log import logger, note
from trioecho.session import Session
from trioecho.wire import RECEIVE_BYTES

__all__ = ["Connection"]

REFUSAL_TIMEOUT = 1.0
"""How long a connection is kept after a refusal, so that the answer arrives (seconds)."""


class Connection:
    """One connection from a listener; :meth:`run` is its task."""

    def __init__(self, context: Context, transport: trio.abc.Stream, address: str) -> None:
        self.address = address
        self._context = context
        self._transport = transport
        self._scope = trio.CancelScope()
        self._ended = False

    def end(self, why: Disconnect) -> None:
        """Give up waiting for the request, because the server shuts down."""
        self._ended = True
        self._scope.cancel()

    async def run(self, refusal: Refusal | None = None) -> None:
        """
        Read the request and make the connection a client, or turn it away at once with ``refusal``.

        Raises nothing but what ends the server (``Cancelled``). If cancelled, the connection is cut.
        """
        session: Session | None = None
        try:
            answer = refusal or await self._read_head()
            if isinstance(answer, Upgrade):
                session = Session(self._context, self._transport, self.address)
                self._context.connections.discard(self)  # the session counts in its place
                try:
                    await session.accept(answer)
                except TooManyRooms:
                    self._context.connections.add(self)
                    session, answer = None, handshake.TOO_MANY_ROOMS
            if isinstance(answer, Refusal):
                await self._refuse(answer)
        except Exception:
            logger.exception("the request of %s failed; the connection is closed", self.address)
        finally:
            self._context.connections.discard(self)
            if session is None:
                await trio.aclose_forcefully(self._transport)

    async def _read_head(self) -> Upgrade | Refusal | None:
        """Read the request head; None if the connection is gone, which is no client's affair."""
        limits = self._context.hub.limits
        head = Handshake()
        with trio.move_on_after(limits.handshake_timeout), self._scope:
            while True:
                try:
                    data = await self._transport.receive_some(RECEIVE_BYTES)
                except trio.BrokenResourceError:
                    data = b""
                if not data:
                    self._context.hub.counters.refused["vanished"] += 1
                    note(logging.DEBUG, "vanished", address=self.address)
                    return None
                answer = head.feed(data)
                if answer is not None:
                    return answer
        return handshake.SHUTTING_DOWN if self._ended else handshake.TOO_LATE

    async def _refuse(self, refusal: Refusal) -> None:
        """Answer no, and wait a moment for the client to take it: closing at once could destroy it."""
        self._context.hub.counters.refused[str(refusal.status)] += 1
        note(logging.INFO, "refused", address=self.address, status=refusal.status, why=refusal.sentence)
        with trio.move_on_after(REFUSAL_TIMEOUT):
            try:
                await self._transport.send_all(refusal.response)
                if isinstance(self._transport, trio.abc.HalfCloseableStream):
                    await self._transport.send_eof()
                while await self._transport.receive_some(RECEIVE_BYTES):
                    pass
            except trio.BrokenResourceError:
                pass
