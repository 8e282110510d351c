"""A route: an address at which the application itself talks with each client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from trioecho.options import OptionError
from trioecho.protocol.room_name import RoomNameError, check_room_name
from trioecho.rooms.conversation import Conversation
from trioecho.rooms.history import History
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room

__all__ = ["Route", "RouteHandler", "check_routes", "open_routes"]


class RouteHandler(Protocol):
    """What talks with one client of a route, from its coming to its end."""

    async def __call__(self, member: Conversation, /) -> None:
        """Iterate over what ``member`` sends, and send it answers."""


class Route(Room):
    """
    Where the clients of one route are: like a room, but what they send goes to ``handler``.

    Nothing is ever published in it, so it needs no broadcaster, and it is in no registry.
    """

    def __init__(self, path: str, handler: RouteHandler, hub: Registry) -> None:
        history = History(hub.settings, hub.histories)
        super().__init__(path, hub.settings, hub.counters, history, memory=hub.memory)
        self.handler = handler


def check_routes(
    routes: Mapping[str, RouteHandler], taken: Mapping[str, object]
) -> Mapping[str, RouteHandler]:
    """
    Return the routes; their paths must be those of rooms, and none of ``taken``.

    Raises:
        OptionError: a path is not, or a handler is not callable.

    """
    for path, handler in routes.items():
        try:
            check_room_name(path)
        except (TypeError, RoomNameError) as error:
            raise OptionError("routes", f"must be async functions by path: {error}") from None
        if not callable(handler):
            raise OptionError("routes", f"must be async functions by path (/rpc), not {handler!r}")
        if path in taken:
            raise OptionError("routes", f"has {path}, and so has http_handlers: it can be only one of them")
    return routes


def open_routes(routes: Mapping[str, RouteHandler], hub: Registry) -> dict[str, Route]:
    """Return the routes of one server, by their paths."""
    return {path: Route(path, handler, hub) for path, handler in routes.items()}
