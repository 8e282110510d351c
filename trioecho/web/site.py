"""
A site: which response a request gets.

The rooms are one site, with four ways in; the addresses for monitoring are another, inside it or on a port of
their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from trioecho.access.identity import Identity
from trioecho.http.negotiation import preferred_type
from trioecho.http.request import Request
from trioecho.http.response import (
    NO_STORE,
    VARY,
    HTTPError,
    Response,
    StreamedResponse,
    error_response,
    text_response,
)
from trioecho.http.upgrade import Upgrade, parse_upgrade, wants_upgrade
from trioecho.protocol.head import SUBPROTOCOL
from trioecho.rooms.since import Since
from trioecho.sessions.route import Route
from trioecho.sessions.state import ServerState
from trioecho.web.admission import Admission
from trioecho.web.page import Page
from trioecho.web.publish import publish
from trioecho.web.recent import NDJSON, RecentMessages
from trioecho.web.resume import since_of, watches
from trioecho.web.stats import RoomStats
from trioecho.web.usage import help_text

__all__ = ["Handler", "Listen", "Outcome", "Pages", "Rooms", "Site", "Talk"]

RETRY = ("Retry-After", "5")
SHUTTING_DOWN = error_response(503, "The server is shutting down: try again later.", RETRY)
TOO_MANY_CONNECTIONS = error_response(503, "There are too many connections: try again later.", RETRY)
TOO_MANY_ROOMS = error_response(503, "There are too many rooms: try again later.", RETRY)
NO_ROOM = error_response(404, "This address is not a room.")
NOTHING_HERE = text_response(404, "Nothing is here: the rooms are on another port.")
ROOM_METHODS = ("Allow", "GET, HEAD, POST")
WRONG_METHOD = text_response(405, "A room takes GET, HEAD and POST.", ROOM_METHODS)
NO_TUNNEL = text_response(405, "This server is not a proxy: it opens no tunnels.", ("Allow", "GET, HEAD"))
NO_PAGE = error_response(426, "This address takes WebSockets.", ("Upgrade", "websocket"))
UNEXPECTED_BODY = error_response(400, "This request takes no body.")

HTML, EVENTS, JSON, PLAIN = "text/html", "text/event-stream", "application/json", "text/plain"

Handler = Callable[[Request], Awaitable[Response]]
"""What responds to the requests for one address. If it does not read the body, the connection is closed."""


@dataclass(frozen=True, slots=True)
class Listen:
    """The client wants the messages of a room as events; or, after a HEAD, only to know how that begins."""

    room: str
    only_head: bool
    identity: Identity
    since: Since | None = None
    watches: bool = False
    gzip: bool = False


@dataclass(frozen=True, slots=True)
class Talk:
    """The client wants a WebSocket, and may have it."""

    upgrade: Upgrade
    identity: Identity
    since: Since | None = None
    watches: bool = False
    route: Route | None = None

    @property
    def room(self) -> str:
        """The room it wants to be in."""
        return self.upgrade.room


Outcome = Response | StreamedResponse | Talk | Listen


class Site(Protocol):
    """What a connection asks about each of its requests."""

    async def answer(self, request: Request) -> Outcome:
        """
        Decide what becomes of a request.

        Raises:
            HTTPError: the request is rejected.

        """


class Pages:
    """A site of single addresses; requests for any other get the response ``otherwise``."""

    def __init__(self, handlers: Mapping[str, Handler], otherwise: Response = NOTHING_HERE) -> None:
        self._handlers = handlers
        self._otherwise = otherwise

    async def answer(self, request: Request) -> Outcome:
        """
        Ask the handler of the address.

        Raises:
            TypeError: the handler returned something else than a response.

        """
        handler = self._handlers.get(request.path)
        if handler is None:
            raise HTTPError(self._otherwise)
        if wants_upgrade(request):
            raise HTTPError(NO_ROOM)
        if request.method == "CONNECT":
            raise HTTPError(NO_TUNNEL)
        response: object = await handler(request)
        if not isinstance(response, Response):
            raise TypeError(
                f"the handler of {request.path} must return a Response, not {type(response).__name__}"
            )
        return response


class Rooms:
    """
    The rooms, and ``pages`` among them that are not rooms.

    ``page`` is what browsers get, if anything. Whoever asks for a room by one of its ways in is asked who
    they are, once and before anything is done for them. The page and the help for curl hold nothing of a
    room, so everybody may read them.
    """

    def __init__(
        self,
        state: ServerState,
        pages: Mapping[str, Handler],
        page: Page | None,
        admission: Admission,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self._routes = routes or {}
        self._state = state
        self._admission = admission
        self._pages = pages
        self._page = page
        self._stats = RoomStats(state.hub)
        self._recent = RecentMessages(state.hub, state.turns)
        settings = state.settings
        offers = {
            HTML: page is not None,
            EVENTS: settings.events,
            JSON: settings.stats,
            NDJSON: settings.history > 0,
        }
        self._offered = [name for name, there in offers.items() if there]

    async def answer(self, request: Request) -> Outcome:
        """Decide which way into the room is meant."""
        if request.path in self._pages:
            return await Pages(self._pages).answer(request)
        if self._state.stopping or self._state.draining:
            raise HTTPError(SHUTTING_DOWN)
        if (route := self._routes.get(request.path)) is not None:
            return await self._converse(request, route)
        self._admission.check_exists(request)
        if wants_upgrade(request):
            identity = await self._admission.admit(request)
            settings = self._state.settings
            # Where everybody gets what is theirs alone, a room has no one count of messages.
            upgrade = parse_upgrade(request, settings.subprotocols, heads=settings.to != "sender")
            # Who speaks nothing in which it could be told is told nothing.
            asks = watches(request) and upgrade.subprotocol == SUBPROTOCOL
            return Talk(upgrade, identity, since_of(request), asks)
        if request.method == "POST":
            return await publish(self._state, request, await self._admission.admit(request))
        if request.method not in ("GET", "HEAD"):
            raise HTTPError(WRONG_METHOD)
        if request.has_body:
            raise HTTPError(UNEXPECTED_BODY)
        return await self._look(request)

    async def _converse(self, request: Request, route: Route) -> Talk:
        """Let somebody into a route, which is nothing but a WebSocket."""
        if not wants_upgrade(request):
            raise HTTPError(NO_PAGE)
        identity = await self._admission.admit(request)
        upgrade = parse_upgrade(request, self._state.settings.subprotocols, heads=False)
        return Talk(upgrade, identity, route=route)

    async def _look(self, request: Request) -> Response | StreamedResponse | Listen:
        """Show the room in the way that the client asks for."""
        settings = self._state.settings
        wanted = preferred_type(request.header("accept"), self._offered, PLAIN)
        if wanted == HTML:
            assert self._page is not None
            gzip = self._state.compressing.gzips(request)
            return self._page.response(request.path, settings, gzip=gzip)
        if wanted == PLAIN:
            return Response(200, help_text(request, settings).encode(), headers=(NO_STORE, VARY))
        identity = await self._admission.admit(request)
        match wanted:
            case "text/event-stream":
                # What one listener gets alone would shift what is compressed for all.
                alone = bool(self._state.hooks) or watches(request)
                return Listen(
                    request.path,
                    request.method == "HEAD",
                    identity,
                    since_of(request),
                    watches(request),
                    self._state.compressing.gzips(request) and not alone,
                )
            case "application/x-ndjson":
                gzip = self._state.compressing.gzips(request)
                return await self._recent.of(request.path, since_of(request), gzip=gzip)
            case "application/json":
                return await self._stats.of(request.path)
        raise HTTPError(
            text_response(406, f"A room can be had as {', '.join([*self._offered, PLAIN])}.", VARY)
        )
