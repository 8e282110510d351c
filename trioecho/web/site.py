"""
A site: which answer a request gets.

The rooms are one site, with four ways in; the addresses for machines are another, inside it or on a port of
their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from trioecho.access.identity import Identity
from trioecho.access.presented import offered_subprotocols
from trioecho.http import upgrade as handshake
from trioecho.http.negotiation import wanted_type
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, error_response, json_response, text_response
from trioecho.http.upgrade import Upgrade
from trioecho.option_kinds import TOKEN_CHARACTERS
from trioecho.sessions.state import ServerState
from trioecho.web.admission import Admission
from trioecho.web.publish import publish
from trioecho.web.stats import stats
from trioecho.web.usage import help_text

__all__ = ["Handler", "Listen", "Outcome", "Pages", "Rooms", "Site", "Talk"]

RETRY = ("Retry-After", "5")
SHUTTING_DOWN = error_response(503, "The server is shutting down: try again later.", RETRY)
TOO_MANY_CONNECTIONS = error_response(503, "There are too many connections: try again later.", RETRY)
TOO_MANY_ROOMS = error_response(503, "There are too many rooms: try again later.", RETRY)
NO_ROOM = error_response(404, "This address is not a room.")
NOTHING_HERE = text_response(404, "Nothing is here: the rooms are on another port.")
WRONG_METHOD = text_response(405, "A room takes GET, HEAD and POST.", ("Allow", "GET, HEAD, POST"))
UNEXPECTED_BODY = error_response(400, "This request takes no body.")

HTML, EVENTS, JSON, PLAIN = "text/html", "text/event-stream", "application/json", "text/plain"

VARY = ("Vary", "Accept")
"""The same address gives each what it accepts, which a cache must know."""

FRESH = ("Cache-Control", "no-store")

OWN_SUBPROTOCOL = "trioecho"
"""What the page offers beside its token, to have something that can be chosen."""

Handler = Callable[[Request], Awaitable[Response]]
"""What answers the requests for one address. If it does not read the body, the connection is closed."""


@dataclass(frozen=True, slots=True)
class Listen:
    """The client wants the messages of a room as events; or, after a HEAD, only to know how that begins."""

    room: str
    only_head: bool
    identity: Identity


@dataclass(frozen=True, slots=True)
class Talk:
    """The client wants a WebSocket, and may have it."""

    upgrade: Upgrade
    identity: Identity

    @property
    def room(self) -> str:
        """The room it wants to be in."""
        return self.upgrade.room


Outcome = Response | Talk | Listen


class Site(Protocol):
    """What a connection asks for each of its requests."""

    async def answer(self, request: Request) -> Outcome:
        """
        Decide what becomes of a request.

        Raises:
            HTTPError: nothing does.

        """


class Pages:
    """A site of single addresses; every other gets the answer ``otherwise``."""

    def __init__(self, handlers: Mapping[str, Handler], otherwise: Response = NOTHING_HERE) -> None:
        self._handlers = handlers
        self._otherwise = otherwise

    async def answer(self, request: Request) -> Outcome:
        """Ask the handler of the address."""
        handler = self._handlers.get(request.path)
        if handler is None:
            raise HTTPError(self._otherwise)
        if handshake.wanted(request):
            raise HTTPError(NO_ROOM)
        return await handler(request)


class Rooms:
    """
    The rooms, and ``pages`` among them that are none.

    Whoever asks for a room by one of its ways in is asked who they are, once and before anything is done for
    them. The page and the help for curl hold nothing of a room, so everybody may read them.
    """

    def __init__(
        self, state: ServerState, pages: Mapping[str, Handler], page: Response | None, admission: Admission
    ) -> None:
        self._state = state
        self._admission = admission
        self._pages = pages
        self._page = page
        limits = state.hub.limits
        offers = {HTML: page is not None, EVENTS: limits.events, JSON: limits.stats}
        self._offered = [name for name, there in offers.items() if there]

    async def answer(self, request: Request) -> Outcome:
        """Decide which way in is meant."""
        if request.path in self._pages:
            return await Pages(self._pages).answer(request)
        if self._state.stopping:
            raise HTTPError(SHUTTING_DOWN)
        self._admission.check_exists(request)
        if handshake.wanted(request):
            return await self._talk(request)
        if request.method == "POST":
            await self._admission.admit(request)
            return await publish(self._state, request)
        if request.method not in ("GET", "HEAD"):
            raise HTTPError(WRONG_METHOD)
        if request.has_body:
            raise HTTPError(UNEXPECTED_BODY)
        return await self._look(request)

    async def _talk(self, request: Request) -> Talk:
        """Let the client talk, and choose the subprotocol."""
        identity = await self._admission.admit(request)
        upgrade = handshake.judge(request)
        chosen = self._subprotocol(request)
        return Talk(upgrade if chosen is None else replace(upgrade, subprotocol=chosen), identity)

    def _subprotocol(self, request: Request) -> str | None:
        """
        Choose one of the subprotocols that a client offers, never one that holds a token.

        A browser that offers any fails the connection unless one is chosen, so who can only offer a token
        offers ours beside it.
        """
        if not request.values("sec-websocket-protocol"):
            return None
        offered = [name for name in offered_subprotocols(request) if set(name) <= TOKEN_CHARACTERS]
        spoken = self._state.hub.limits.subprotocols or offered
        return next((name for name in (*spoken, OWN_SUBPROTOCOL) if name in offered), None)

    async def _look(self, request: Request) -> Response | Listen:
        """Show the room in the way that the client asks for."""
        hub = self._state.hub
        wanted = wanted_type(request.header("accept"), self._offered, PLAIN)
        if wanted == HTML:
            assert self._page is not None
            return self._page
        if wanted == PLAIN:
            return Response(200, help_text(request, hub.limits).encode(), headers=(FRESH, VARY))
        identity = await self._admission.admit(request)
        match wanted:
            case "text/event-stream":
                return Listen(request.path, request.method == "HEAD", identity)
            case "application/json":
                found = json_response(200, stats(hub, request.path))
                return Response(200, found.body, found.content_type, (FRESH, VARY))
        raise HTTPError(
            text_response(406, f"A room can be had as {', '.join([*self._offered, PLAIN])}.", VARY)
        )
