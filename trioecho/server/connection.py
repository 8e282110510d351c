"""A connection: HTTP requests, one after another, until one of them makes it a client."""

from __future__ import annotations

import logging
from typing import ClassVar

import trio

from trioecho.disconnect import Disconnect
from trioecho.http.exchange import RECEIVE_BYTES, TOO_LATE, Exchange
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, error_response
from trioecho.http.upgrade import Upgrade
from trioecho.log import log_event, logger
from trioecho.rooms.registry import TooManyRooms
from trioecho.sessions.event_stream import HEAD, EventStream
from trioecho.sessions.state import ServerState
from trioecho.sessions.websocket import Session
from trioecho.web.site import (
    SHUTTING_DOWN,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_ROOMS,
    Listen,
    Outcome,
    Site,
)

__all__ = ["Connection"]

GOODBYE_TIMEOUT = 1.0
"""How long a connection is kept after its last answer, so that the answer arrives (seconds)."""

CROWDED_PATIENCE = 1.0
"""How long a client over the limit may take to ask (seconds): there is room for few of them."""

FAILED = error_response(500, "The server failed.")


class Connection:
    """
    One connection from a listener; :meth:`run` is its task.

    A ``crowded`` one is over the limit: it is for one request only, and quickly.
    """

    kind: ClassVar = "http"

    def __init__(
        self,
        state: ServerState,
        site: Site,
        transport: trio.abc.Stream,
        address: str,
        *,
        crowded: bool = False,
    ) -> None:
        self.address = address
        self._state = state
        self._site = site
        self._transport = transport
        self._crowded = crowded
        self._scope: trio.CancelScope | None = None
        self._last = crowded
        self._stopped = False
        self._handed_over = False

    def disconnect(self, why: Disconnect) -> None:
        """Wait for no more requests, because the server shuts down."""
        self._last = self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> None:
        """
        Serve the requests that come, until one of them makes a session of the connection.

        Raises nothing but what ends the server (``Cancelled``). If cancelled, the connection is cut.
        """
        try:
            await self._converse()
        except trio.BrokenResourceError:
            log_event(logging.DEBUG, "vanished", address=self.address)
        except Exception:
            logger.exception("serving %s failed; the connection is closed", self.address)
        finally:
            self._state.connections.discard(self)
            if not self._handed_over:
                await trio.aclose_forcefully(self._transport)

    async def _converse(self) -> None:
        """Response request by request, until there is none, or one is for something else."""
        early, first = b"", True
        while True:
            exchange = Exchange(self._transport, self._state.hub.limits, early)
            outcome = await self._outcome(exchange, first)
            if isinstance(outcome, (Upgrade, Listen)):
                try:
                    await self._become(outcome)
                    return
                except TooManyRooms:
                    outcome = self._refused(TOO_MANY_ROOMS)
            if outcome is None:
                return
            if not await exchange.answer(outcome, last=self._last):
                await self._say_goodbye()
                return
            early, first = exchange.rest, False

    async def _outcome(self, exchange: Exchange, first: bool) -> Outcome | None:
        """Wait for a request and decide what becomes of it; ``None`` if there will be none."""
        try:
            request = await self._receive(exchange, first)
            if request is None:
                return None
            outcome = await self._ask(request)
            if self._stopped and not isinstance(outcome, Response):
                return self._refused(SHUTTING_DOWN)
            return outcome
        except HTTPError as refused:
            too_late = self._crowded and refused.response is TOO_LATE
            return self._refused(TOO_MANY_CONNECTIONS if too_late else refused.response)

    async def _ask(self, request: Request) -> Outcome:
        """Ask the site; if it fails, that is a bug, ours or the application's, and the client hears of it."""
        try:
            return await self._site.answer(request)
        except (HTTPError, trio.BrokenResourceError):
            raise
        except Exception:
            logger.exception("a request of %s failed", self.address)
            raise HTTPError(FAILED) from None

    async def _receive(self, exchange: Exchange, first: bool) -> Request | None:
        patience = CROWDED_PATIENCE if self._crowded else self._state.hub.limits.handshake_timeout
        with trio.CancelScope() as self._scope:
            if self._stopped:
                self._scope.cancel()
            request = await exchange.receive(patience, first=first)
            if request is None and (first or exchange.begun):
                self._state.hub.counters.refused["vanished"] += 1
                log_event(logging.DEBUG, "vanished", address=self.address)
            return request
        if first or exchange.begun:
            raise HTTPError(SHUTTING_DOWN)
        return None

    async def _become(self, wish: Upgrade | Listen) -> None:
        """
        Make the connection a client's: a session has it for good, an event stream until its end.

        Raises:
            TooManyRooms: the room would be one too many; the connection can still be answered.

        """
        connections = self._state.connections
        if isinstance(wish, Listen) and wish.only_head:
            await self._transport.send_all(HEAD)
            await self._say_goodbye()
            return
        connections.discard(self)  # the client counts in its place
        try:
            if isinstance(wish, Listen):
                await EventStream(self._state, self._transport, self.address).run(wish.room)
            else:
                self._handed_over = True
                await Session(self._state, self._transport, self.address).accept(wish)
        except TooManyRooms:
            self._handed_over = False
            connections.add(self)
            raise

    def _refused(self, answer: Response) -> Response:
        """Count and log an answer that says no, and return it."""
        self._state.hub.counters.refused[str(answer.status)] += 1
        log_event(logging.INFO, "refused", address=self.address, status=answer.status, why=answer.sentence)
        return answer

    async def _say_goodbye(self) -> None:
        """Wait a moment for the client to take the answer: closing at once could destroy it."""
        with trio.move_on_after(GOODBYE_TIMEOUT):
            if isinstance(self._transport, trio.abc.HalfCloseableStream):
                await self._transport.send_eof()
            while await self._transport.receive_some(RECEIVE_BYTES):
                pass
