"""The hub: the application's own way to publish and to subscribe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trioecho.protocol import frames
from trioecho.protocol.room_name import check_room_name
from trioecho.rooms.registry import Registry, ShuttingDown, TooManyRooms
from trioecho.rooms.subscriber import Subscriber
from trioecho.rooms.subscription import Subscription
from trioecho.settings import Settings

__all__ = ["Hub", "ShuttingDown", "TooManyRooms", "registry_of"]


class Hub:
    """
    The rooms of one server, as an application sees them: ``server.hub``.

    A room is there while somebody is in it. Its name is the URL's path, percent-decoded, with the leading
    slash: ``"/"``, ``"/news"``.

    A hub needs no server: made with limits and a nursery it serves the tasks of one application.
    """

    def __init__(self, limits: Settings, nursery: trio.Nursery) -> None:
        self._registry = Registry(limits, nursery)

    @property
    def rooms(self) -> dict[str, int]:
        """How many subscribers are in each room, now."""
        return self._registry.rooms

    async def publish(self, room: str, message: str | bytes) -> int:
        """
        Send ``message`` to everybody in ``room`` and return how many that were; 0 if there is no such room.

        Waits while the room is full, as a client would that publishes; not until all have it. The server's
        ``prefix`` is not put before it. If cancelled while it waits, the message was not taken.

        Raises:
            TypeError: the message is neither ``str`` nor ``bytes``, or the room's name is not a ``str``.
            ValueError: no room can have this name (it begins with a slash and has at most 255 bytes), or
                the message is larger than ``max_message_size``, or text that UTF-8 cannot encode.
            ShuttingDown: the server is shutting down, and the message was not taken.

        """
        check_room_name(room)
        frame = frames.encode(message)
        size = len(message.encode() if isinstance(message, str) else message)
        limit = self._registry.limits.max_message_size
        if size > limit:
            raise ValueError(f"the message has {size} bytes; max_message_size is {limit}")
        return await self._registry.relay(room, frame)

    @asynccontextmanager
    async def subscribe(self, room: str) -> AsyncIterator[Subscription]:
        """
        Be in ``room`` for the length of a ``with`` block, and iterate over its messages.

        A subscription gets what a client gets that publishes nothing. It has a client's outbox with its
        bound and policy: an application that does not keep up is a slow client too.

        Raises:
            TypeError: the room's name is not a ``str``.
            ValueError: no room can have this name: it begins with a slash and has at most 255 bytes.
            TooManyRooms: the room would be one too many.
            ShuttingDown: the server is shutting down.

        """
        check_room_name(room)
        registry = self._registry
        if registry.draining:
            raise ShuttingDown("the server is shutting down: it takes no more subscriptions")
        subscriber = Subscriber(registry.limits)
        joined = subscriber.room = registry.enter(room, subscriber)
        try:
            yield Subscription(subscriber)
        finally:
            subscriber.outbox.close()
            registry.leave(joined, subscriber)


def registry_of(hub: Hub) -> Registry:
    """Return the rooms behind a hub, for the parts of a server that put clients into them."""
    return hub._registry
