"""
A site: which answer a request gets.

The rooms are one site, with four ways in; the addresses for machines are another, inside it or on a port of
their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from trioecho.http import upgrade as handshake
from trioecho.http.negotiation import wanted_type
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, error_response, json_response, text_response
from trioecho.http.upgrade import Upgrade
from trioecho.sessions.state import ServerState
from trioecho.web.publish import publish
from trioecho.web.stats import stats
from trioecho.web.usage import help_text

__all__ = ["Handler", "Listen", "Outcome", "Pages", "Rooms", "Site"]

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

Handler = Callable[[Request], Awaitable[Response]]
"""What answers the requests for one address. If it does not read the body, the connection is closed."""


@dataclass(frozen=True, slots=True)
class Listen:
    """The client wants the messages of a room as events; or, after a HEAD, only to know how that begins."""

    room: str
    only_head: bool


Outcome = Response | Upgrade | Listen


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
    """The rooms, and ``pages`` among them that are none."""

    def __init__(self, state: ServerState, pages: Mapping[str, Handler], page: Response | None) -> None:
        self._state = state
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
        if handshake.wanted(request):
            return handshake.judge(request)
        if request.method == "POST":
            return await publish(self._state, request)
        if request.method not in ("GET", "HEAD"):
            raise HTTPError(WRONG_METHOD)
        if request.has_body:
            raise HTTPError(UNEXPECTED_BODY)
        return self._look(request)

    def _look(self, request: Request) -> Response | Listen:
        """Show the room in the way that the client asks for."""
        hub = self._state.hub
        match wanted_type(request.header("accept"), self._offered, PLAIN):
            case "text/html":
                assert self._page is not None
                return self._page
            case "text/event-stream":
                return Listen(request.path, only_head=request.method == "HEAD")
            case "application/json":
                found = json_response(200, stats(hub, request.path))
                return Response(200, found.body, found.content_type, (FRESH, VARY))
            case "text/plain":
                text = help_text(request, hub.limits)
                return Response(200, text.encode(), headers=(FRESH, VARY))
        raise HTTPError(
            text_response(406, f"A room can be had as {', '.join([*self._offered, PLAIN])}.", VARY)
        )
