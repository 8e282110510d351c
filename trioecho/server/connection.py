"""A connection: HTTP requests, one after another, until one of them makes it a client's."""

from __future__ import annotations

import logging
from typing import ClassVar

import trio

from trioecho.access.address_limits import Place, refusal
from trioecho.disconnect import OVER_MEMORY, UNTAKEN, Disconnect
from trioecho.http.behind_proxy import set_origin
from trioecho.http.exchange import TOO_LATE, Exchange
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, StreamedResponse, Unread, error_response, unasked
from trioecho.log import logger
from trioecho.server.entrance import Entrance
from trioecho.server.joining import join
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.event_stream import head
from trioecho.sessions.session import Session
from trioecho.sessions.state import ServerState
from trioecho.transport.closing import close_now, linger_for, reset_on_close
from trioecho.transport.peer import Peer, address_of
from trioecho.transport.proxy_protocol import ProxyProtocolError
from trioecho.transport.socket_stream import received_already
from trioecho.web.site import (
    SHUTTING_DOWN,
    TOO_MANY_CONNECTIONS,
    Listen,
    Outcome,
    Site,
    Talk,
)

__all__ = ["Connection", "serve_connection"]

LINGER_TIMEOUT = 1.0
"""How long a connection is kept after its last response (seconds): closing at once could destroy that."""

OVER_LIMIT_TIMEOUT = 1.0
"""How long a client over the limit may take to send its request (seconds): there is room for few of them."""

FAILED = error_response(500, "The server failed.")

NOBODY_YET = Peer("unknown")  # until it is found out who is there


async def serve_connection(connection: Connection) -> None:
    """
    Serve a connection from its first request to its end: the task of one connection.

    Raises nothing but what ends the server (``Cancelled``). If cancelled, the connection is closed at once.
    """
    place = connection.place
    try:
        session = await connection.run()
        del connection  # the client keeps nothing of its requests
        if session is not None:
            await session.run()
    finally:
        if place is not None:
            place.release()


class Connection(BaseConnection):
    """
    One connection, while it is HTTP: one of ``connections`` as long as it runs.

    One that is ``over_limit`` is for one request only, and quickly. ``place`` is where it is counted among
    those of its address, if they are limited.
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
        place: Place | None = None,
    ) -> None:
        super().__init__(transport, NOBODY_YET)
        self._state = state
        self._site = site
        self._entrance = entrance
        self._direct = NOBODY_YET
        self._connections = connections
        self.place = place
        self._over_limit = over_limit
        self._exchange: Exchange | None = None
        self._scope: trio.CancelScope | None = None
        self._last = over_limit
        self._stopped = False

    def disconnect(self, why: Disconnect) -> None:
        """Wait for no more requests, as the server shuts down; or for no more of one, if too much is held."""
        if why is OVER_MEMORY:
            if self._exchange is not None:
                self._exchange.give_up()
            return
        self._last = self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    @property
    def held_bytes(self) -> int:
        """What has come of a request's body, and what is not read of a response (bytes)."""
        return 0 if self._exchange is None else self._exchange.held

    async def run(self) -> Session | None:
        """Serve the requests that come, until one makes a session of the connection: that is returned."""
        session = None
        try:
            session = await self._serve_requests()
        except trio.BrokenResourceError:
            reset_on_close(self._transport)
            self._state.lines.log(logging.DEBUG, "vanished", address=self.address)
        except Unread as unread:
            reset_on_close(self._transport)
            self._ended(unread.cause, str(unread))
        except Exception:
            logger.exception("serving %s failed; the connection is closed", self.peer)
        finally:
            self._connections.discard(self)
            if session is None:
                await close_now(self._transport)
        return session

    async def _serve_requests(self) -> Session | None:
        """Serve requests until there are no more, or one is for a session."""
        timeout = OVER_LIMIT_TIMEOUT if self._over_limit else self._state.settings.handshake_timeout
        deadline = trio.current_time() + timeout
        try:
            early = await self._arrive(deadline)
        except HTTPError as refused:
            await self._turn_away(self._refused(refused.response, refused.cause))
            return None
        if early is None:
            return None
        first = True
        while True:
            state = self._state
            self._exchange = exchange = Exchange(
                self._transport, state.settings, early, memory=state.hub.memory, turns=state.turns
            )
            outcome = await self._outcome(
                exchange, deadline - trio.current_time() if first else timeout, first
            )
            if isinstance(outcome, (Talk, Listen)):
                try:
                    return await self._upgrade(outcome)
                except HTTPError as refused:
                    outcome = self._refused(refused.response, refused.cause)
            if outcome is None:
                return None
            if not await exchange.answer(outcome, last=self._last):
                await linger_for(self._transport, LINGER_TIMEOUT)
                return None
            early, first = exchange.rest, False

    async def _arrive(self, deadline: float) -> bytes | None:
        """
        Find out who is there, in time, and return what came of the first request; ``None`` if that fails.

        Raises:
            HTTPError: its address, which a PROXY header has named, is over one of its limits.

        """
        entrance = self._entrance
        if not entrance.waits(self._transport):
            self.peer = self._direct = address_of(self._transport)
            return received_already(self._transport)
        with trio.CancelScope(deadline=deadline) as self._scope:
            if self._stopped:
                self._scope.cancel()
            try:
                source, early = await entrance.proxy_source(self._transport)
                if source is not None and source.host is not None:
                    self.peer = Peer(source.host, source.port or None)
                    self._take_place()
                if entrance.wraps(self._transport):
                    self._transport, early = entrance.sealed(self._transport, early), b""
                self.peer = self._direct = await entrance.arrive(
                    self._transport, source, self._state.turns.take
                )
                return early
            except ProxyProtocolError as error:
                self._not_arrived("proxy-protocol", str(error))
            except trio.BrokenResourceError as error:
                self._not_arrived("vanished" if entrance.tls is None else "tls", str(error))
            return None
        # Nothing can be answered to one whose TLS handshake is not over.
        self._refused(SHUTTING_DOWN if self._stopped else TOO_LATE)
        return None

    async def _turn_away(self, response: Response) -> None:
        """Answer before the first request; over TLS that would take the handshake, so it is only closed."""
        if not self._entrance.wraps(self._transport):
            await self._transport.send_all(unasked(response))
            await linger_for(self._transport, LINGER_TIMEOUT)

    def _not_arrived(self, why: str, reason: str) -> None:
        """Count and log a connection that ended before its first request, for a reason other than time."""
        self.peer = address_of(self._transport)
        self._ended(why, reason)

    def _ended(self, why: str, reason: str) -> None:
        """Count and log a connection that is ended without an answer, or in the middle of one."""
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
            self._take_place()
            outcome = await self._ask(request)
            if self._stopped and not isinstance(outcome, (Response, StreamedResponse)):
                return self._refused(SHUTTING_DOWN)
            return outcome
        except HTTPError as error:
            response, cause = error.response, error.cause  # and not its traceback, which holds the request
        # A rejection is about as much work as the request would have been.
        await self._state.turns.take_if_many()
        late = self._over_limit and response is TOO_LATE
        return self._refused(TOO_MANY_CONNECTIONS if late else response, cause)

    def _take_place(self) -> None:
        """
        Count the connection among those of its peer, who may have been behind a proxy until now.

        Raises:
            HTTPError: the address is over one of its limits.

        """
        if self.place is not None and (over := self.place.take(self.peer.host)) is not None:
            raise HTTPError(refusal(over), cause=over.reason)

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
            request = await exchange.receive(self._scope, patience, first=first)
            if request is None and (first or exchange.begun):
                self._state.hub.counters.refused["vanished"] += 1
                self._state.lines.log(logging.DEBUG, "vanished", address=self.address)
            return request
        if first or exchange.begun:
            raise HTTPError(SHUTTING_DOWN if self._stopped else TOO_LATE)
        return None

    async def _upgrade(self, wish: Talk | Listen) -> Session | None:
        """
        Make a session of the connection, or answer a HEAD for one.

        Raises:
            HTTPError: it may not be in the room; the connection can still be answered.

        """
        if isinstance(wish, Listen) and wish.only_head:
            await self._show_head(gzip=wish.gzip)
            return None
        return join(self._state, self._transport, self.peer, wish)

    async def _show_head(self, *, gzip: bool) -> None:
        """Answer a HEAD for events as a GET would be, but for the events."""
        with trio.move_on_after(self._state.settings.handshake_timeout) as taking:
            await self._transport.send_all(head(gzip=gzip))
            await linger_for(self._transport, LINGER_TIMEOUT)
        if taking.cancelled_caught:
            self._ended(UNTAKEN.name, UNTAKEN.reason)

    def _refused(self, answer: Response, cause: str = "") -> Response:
        """Count and log a response that rejects the request, and return it."""
        self._state.hub.counters.refused[cause or str(answer.status)] += 1
        self._state.lines.log(
            logging.INFO, "refused", address=self.address, status=answer.status, why=answer.sentence
        )
        return answer
