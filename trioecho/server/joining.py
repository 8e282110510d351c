"""How a client comes into its room: which session it gets, and whether it may open the room."""

from __future__ import annotations

import trio

from trioecho.http.response import HTTPError
from trioecho.rooms.registry import TooManyRooms
from trioecho.sessions.event_stream import EventStream
from trioecho.sessions.hooked import HookedEventStream, HookedWebSocket, PacedHooked
from trioecho.sessions.paced import PacedSession
from trioecho.sessions.route import Route
from trioecho.sessions.routed import PacedRouted, RoutedSession
from trioecho.sessions.session import Session
from trioecho.sessions.state import ServerState
from trioecho.sessions.websocket import WebSocketSession
from trioecho.transport.peer import Peer
from trioecho.web.site import TOO_MANY_ROOMS, Listen, Talk

__all__ = ["join"]

TALKING: dict[tuple[bool, bool], type[WebSocketSession]] = {
    (False, False): WebSocketSession,
    (True, False): PacedSession,
    (False, True): HookedWebSocket,
    (True, True): PacedHooked,
}
"""The session of a WebSocket client: whether it is held to a rate, whether the application has hooks."""


def join(state: ServerState, transport: trio.abc.Stream, peer: Peer, wish: Talk | Listen) -> Session:
    """
    Return the session of a client that may have what it wants, in its room.

    Raises:
        HTTPError: the room would be one too many, or its address or its name opens too many.

    """
    if isinstance(wish, Talk) and wish.route is not None:
        return _converse(state, transport, peer, wish, wish.route)
    try:
        state.hub.check_space(wish.room)
    except TooManyRooms:
        raise HTTPError(TOO_MANY_ROOMS) from None
    if state.hub.room(wish.room) is None:
        state.addresses.check_new_room(peer.host, wish.identity.name)
    # From here on nothing is refused: what is made for a session refers back to itself.
    session: Session
    hooked = bool(state.hooks)
    if isinstance(wish, Listen):
        listening = HookedEventStream if hooked else EventStream
        session = listening(state, transport, peer, wish.identity, gzip=wish.gzip)
    else:
        talking = TALKING[state.settings.paced, hooked]
        session = talking(state, transport, peer, wish.upgrade, wish.identity)
    session.join(wish.room, wish.since, watches=wish.watches)
    return session


def _converse(
    state: ServerState, transport: trio.abc.Stream, peer: Peer, wish: Talk, route: Route
) -> RoutedSession:
    """Return the session of a client of a route."""
    talking = PacedRouted if state.settings.paced else RoutedSession
    session = talking(state, transport, peer, wish.upgrade, wish.identity)
    session.enter(route)
    return session
