"""A connection: HTTP requests, one after another, until one of them makes it a client's."""

from __future__ import annotations

import logging
from typing import ClassVar

import trio

from trioecho.disconnect import UNTAKEN, Disconnect
from trioecho.http.behind_proxy import set_origin
from trioecho.http.exchange import TOO_LATE, Exchange
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, error_response
from trioecho.log import logger
from trioecho.rooms.registry import TooManyRooms
from trioecho.server.entrance import Entrance
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.event_stream import HEAD, EventStream
from trioecho.sessions.session import Session
from trioecho.sessions.state import ServerState
from trioecho.sessions.websocket import WebSocketSession
from trioecho.transport.closing import linger
from trioecho.transport.peer import Peer, address_of
from trioecho.transport.proxy_protocol import ProxyProtocolError
from trioecho.web.site import (
    SHUTTING_DOWN,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_ROOMS,
    Listen,
    Outcome,
    Site,
    Talk,
)

__all__ = ["Connection", "serve_connection"]

LINGER_TIMEOUT = 1.0
"""How long a connection is kept after its last response, so that the response arrives (seconds)."""

OVER_LIMIT_TIMEOUT = 1.0
"""How long a client over the limit may take to send its request (seconds): there is room for few of them."""

FAILED = error_response(500, "The server failed.")

NOBODY_YET = Peer("unknown")
"""Who is at the other end until that is found out."""


async def serve_connection(connection: Connection) -> None:
    """
    Serve a connection from its first request to its end: the task of one connection.

    Raises nothing but what ends the server (``Cancelled``). If cancelled, the connection is closed at once.
    """
    session = await connection.run()
    del connection  # the client keeps nothing of its requests
    if session is not None:
        await session.run()


class Connection(BaseConnection):
    """
    One connection from a listener, while it is HTTP.

    It is one of ``connections`` as long as it runs. One that is ``over_limit`` is for one request only, and
    quickly.
    """

    kind: ClassVar = "http"

    def __init__(
        self,
        state: ServerState,
        site: Site,
        transport: trio.abc.Stream,
        connections: set[BaseConnection],
        *,
        over_limit: bool = False,
        entrance: Entrance,
    ) -> None:
        super().__init__(transport, NOBODY_YET)
        self._state = state
        self._site = site
        self._entrance = entrance
        self._direct = NOBODY_YET
        self._connections = connections
        self._over_limit = over_limit
        self._scope: trio.CancelScope | None = None
        self._last = over_limit
        self._stopped = False

    def disconnect(self, why: Disconnect) -> None:
        """Wait for no more requests, because the server shuts down."""
        self._last = self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    async def run(self) -> Session | None:
        """Serve the requests that come, until one makes a session of the connection: that is returned."""
        session = None
        try:
            session = await self._serve_requests()
        except trio.BrokenResourceError:
            self._state.lines.log(logging.DEBUG, "vanished", address=self.address)
        except Exception:
            logger.exception("serving %s failed; the connection is closed", self.peer)
        finally:
            self._connections.discard(self)
            if session is None:
                await trio.aclose_forcefully(self._transport)
        return session

    async def _serve_requests(self) -> Session | None:
        """Serve requests until there are no more, or one is for a session."""
        timeout = OVER_LIMIT_TIMEOUT if self._over_limit else self._state.hub.limits.handshake_timeout
        deadline = trio.current_time() + timeout
        early = await self._arrive(deadline)
        if early is None:
            return None
        first = True
        while True:
            exchange = Exchange(self._transport, self._state.hub.limits, early)
            outcome = await self._outcome(
                exchange, deadline - trio.current_time() if first else timeout, first
            )
            if isinstance(outcome, (Talk, Listen)):
                try:
                    return await self._upgrade(outcome)
                except TooManyRooms:
                    outcome = self._refused(TOO_MANY_ROOMS)
            if outcome is None:
                return None
            if not await exchange.answer(outcome, last=self._last):
                await self._linger()
                return None
            early, first = exchange.rest, False

    async def _arrive(self, deadline: float) -> bytes | None:
        """
        Find out who is there, in the time that the first request has; ``None`` if that fails.

        Returns what has been read of the first request.
        """
        entrance = self._entrance
        with trio.CancelScope(deadline=deadline) as self._scope:
            if self._stopped:
                self._scope.cancel()
            try:
                source, early = await entrance.proxy_source(self._transport)
                if entrance.wraps(self._transport):
                    self._transport, early = entrance.sealed(self._transport, early), b""
                self.peer = self._direct = await entrance.arrive(self._transport, source)
                return early
            except ProxyProtocolError as error:
                self._not_arrived("proxy-protocol", str(error))
            except trio.BrokenResourceError as error:
                self._not_arrived("vanished" if entrance.tls is None else "tls", str(error))
            return None
        # Nothing can be answered to one whose TLS handshake is not over.
        self._refused(SHUTTING_DOWN if self._stopped else TOO_LATE)
        return None

    def _not_arrived(self, why: str, reason: str) -> None:
        """Count and log a connection that ended before its first request, for a reason other than time."""
        self.peer = address_of(self._transport)
        self._state.hub.counters.refused[why] += 1
        self._state.lines.log(logging.INFO, "refused", address=self.address, why=why, reason=reason)

    async def _outcome(self, exchange: Exchange, patience: float, first: bool) -> Outcome | None:
        """Wait for a request and decide what becomes of it; ``None`` if there will be none."""
        try:
            request = await self._receive(exchange, patience, first)
            if request is None:
                return None
            set_origin(request, self._direct, self._entrance.trusted)
            self.peer = request.peer or self._direct
            outcome = await self._ask(request)
            if self._stopped and not isinstance(outcome, Response):
                return self._refused(SHUTTING_DOWN)
            return outcome
        except HTTPError as refused:
            too_late = self._over_limit and refused.response is TOO_LATE
            return self._refused(TOO_MANY_CONNECTIONS if too_late else refused.response)

    async def _ask(self, request: Request) -> Outcome:
        """Ask the site; if it fails, that is a bug, ours or the application's, and the client is told."""
        try:
            return await self._site.answer(request)
        except HTTPError:
            raise
        except Exception:
            logger.exception("a request of %s failed", self.peer)
            raise HTTPError(FAILED) from None

    async def _receive(self, exchange: Exchange, patience: float, first: bool) -> Request | None:
        with trio.CancelScope() as self._scope:
            if self._stopped:
                self._scope.cancel()
            request = await exchange.receive(patience, first=first)
            if request is None and (first or exchange.begun):
                self._state.hub.counters.refused["vanished"] += 1
                self._state.lines.log(logging.DEBUG, "vanished", address=self.address)
            return request
        if first or exchange.begun:
            raise HTTPError(SHUTTING_DOWN)
        return None

    async def _upgrade(self, wish: Talk | Listen) -> Session | None:
        """
        Make a session of the connection, or answer a HEAD for one.

        Raises:
            TooManyRooms: the room would be one too many; the connection can still be answered.

        """
        session: Session
        if isinstance(wish, Talk):
            session = WebSocketSession(self._state, self._transport, self.peer, wish.upgrade, wish.identity)
        elif not wish.only_head:
            session = EventStream(self._state, self._transport, self.peer, wish.identity)
        else:
            with trio.move_on_after(self._state.hub.limits.handshake_timeout) as taking:
                await self._transport.send_all(HEAD)
                await self._linger()
            if taking.cancelled_caught:
                self._state.hub.counters.refused[UNTAKEN.name] += 1
                self._state.lines.log(
                    logging.INFO, "refused", address=self.address, why=UNTAKEN.name, reason=UNTAKEN.reason
                )
            return None
        session.join(wish.room)
        return session

    def _refused(self, answer: Response) -> Response:
        """Count and log a response that rejects the request, and return it."""
        self._state.hub.counters.refused[str(answer.status)] += 1
        self._state.lines.log(
            logging.INFO, "refused", address=self.address, status=answer.status, why=answer.sentence
        )
        return answer

    async def _linger(self) -> None:
        """Wait a moment for the client to take the response: closing at once could destroy it."""
        with trio.move_on_after(LINGER_TIMEOUT):
            await linger(self._transport)
