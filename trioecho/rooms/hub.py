"""The hub: the application's own way to publish and to subscribe."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, overload

import trio

from trioecho.counters import Counters
from trioecho.protocol.room_name import check_room_name
from trioecho.rooms.batch import Batch, Excluding, Origin
from trioecho.rooms.log import Logs
from trioecho.rooms.member import Member, client_of
from trioecho.rooms.message import encoded_message
from trioecho.rooms.place import parse_place
from trioecho.rooms.registry import Registry, ShuttingDown, TooManyRooms
from trioecho.rooms.since import Since
from trioecho.rooms.statistics import HubStatistics, statistics_of
from trioecho.rooms.subscriber import Subscriber
from trioecho.rooms.subscription import SourcedSubscription, Subscription
from trioecho.settings import Settings

__all__ = ["Hub", "ShuttingDown", "TooManyRooms", "registry_of"]

Exclude = Member | Iterable[Member]
"""Whom a message is kept from."""


class Hub:
    """
    Rooms, as an application sees them: ``server.hub``, or what :func:`open_hub` gives.

    A room is there while somebody is in it. Its name is the URL's path, percent-decoded, with the leading
    slash: ``"/"``, ``"/news"``.

    A hub needs no server: made with settings and a nursery it serves the tasks of one application.
    """

    def __init__(
        self,
        settings: Settings,
        nursery: trio.Nursery,
        *,
        counters: Counters | None = None,
        logs: Logs | None = None,
    ) -> None:
        self._registry = Registry(settings, nursery, counters=counters, logs=logs)

    @property
    def rooms(self) -> dict[str, int]:
        """How many subscribers are in each room, now; of servers that share rooms, those of this one."""
        return self._registry.rooms

    def members(self, room: str) -> tuple[Member, ...]:
        """
        Return who is in ``room``, in the order they came: its clients, not the application's subscriptions.

        Empty if there is no such room. Where several servers share it, these are the clients of this one: a
        client of another can't be sent anything alone. Its name stands in the room's stats, on every server.
        """
        found = self._registry.room(room)
        if found is None:
            return ()
        return tuple([one.member for one in found.members if one.member is not None])

    def statistics(self) -> HubStatistics:
        """Return what has been counted so far, as a value; its work grows with how many are there."""
        return statistics_of(self._registry)

    async def publish(self, room: str, message: str | bytes, *, exclude: Exclude = ()) -> int:
        """
        Send ``message`` to everybody in ``room`` and return how many that were; 0 if there is no such room.

        Waits while the room is full, as a client would that publishes; not until all have it. The server's
        ``prefix`` is not put before it. If cancelled while it waits, the message was not taken.

        With an engine it goes to everybody in the room on all servers, in one order with what is said there.
        The number is of those on this server.

        Args:
            room: its name.
            message: ``str`` is sent as text, ``bytes`` as binary.
            exclude: a member, or several, who do not get it. The room remembers it all the same: one of them
                who connects again, and asks for what it has missed, gets it then. A member of another server
                that shares the room can't be excluded here.

        Raises:
            TypeError: the message is neither ``str`` nor ``bytes``, or the room's name is not a ``str``.
            ValueError: no room can have this name (it begins with a slash and has at most 255 bytes), or
                the message is larger than ``max_message_size``, or text that UTF-8 cannot encode.
            ShuttingDown: the server is shutting down, and the message was not taken.

        """
        return await self._registry.publish(room, self._batch(room, message, exclude))

    def publish_nowait(self, room: str, message: str | bytes, *, exclude: Exclude = ()) -> int:
        """
        Do as :meth:`publish`, but without ever waiting.

        Raises:
            trio.WouldBlock: the room is full, or what is on its way to the engine is too much already; the
                message was not taken.
            TypeError, ValueError, ShuttingDown: as :meth:`publish`.

        """
        return self._registry.publish_nowait(room, self._batch(room, message, exclude))

    def _batch(self, room: str, message: str | bytes, exclude: Exclude) -> Batch:
        check_room_name(room)
        frame = encoded_message(message, self._registry.settings.max_message_size)
        without = (exclude,) if isinstance(exclude, Member) else exclude
        if excluded := [client for member in without if (client := client_of(member)) is not None]:
            return Batch(Excluding(excluded), frame, 1)
        return Batch(Origin.APPLICATION, frame, 1)

    @overload
    def subscribe(
        self, room: str, *, after: str | None = None, sources: Literal[False] = False
    ) -> AbstractAsyncContextManager[Subscription]: ...

    @overload
    def subscribe(
        self, room: str, *, after: str | None = None, sources: Literal[True]
    ) -> AbstractAsyncContextManager[SourcedSubscription]: ...

    def subscribe(
        self, room: str, *, after: str | None = None, sources: bool = False
    ) -> AbstractAsyncContextManager[Subscription] | AbstractAsyncContextManager[SourcedSubscription]:
        """
        Be in ``room`` for the length of a ``with`` block, and iterate over its messages.

        A subscription gets what a client gets that publishes nothing. It has a client's outbox with its
        bound and policy: an application that does not keep up is a slow client too.

        With ``after``, a place as :attr:`Subscription.place` has it, it begins with what was said since, as
        far as the room remembers that; :attr:`Subscription.missed` says how many messages it does not. With
        ``sources`` it gives not messages but :class:`Heard`, each a message and where it came from; of one
        that another server has shared it is known only that it came from elsewhere.

        Entering the block raises:

        Raises:
            TypeError: the room's name is not a ``str``.
            ValueError: no room can have this name: it begins with a slash and has at most 255 bytes. Or
                ``after`` is no place.
            TooManyRooms: the room would be one too many.
            ShuttingDown: the server is shutting down.

        """
        return self._sourced(room, after) if sources else self._plain(room, after)

    @asynccontextmanager
    async def _plain(self, room: str, after: str | None) -> AsyncIterator[Subscription]:
        async with self._subscriber(room, after) as (subscriber, since):
            yield Subscription(subscriber, None if since is None else since.after)

    @asynccontextmanager
    async def _sourced(self, room: str, after: str | None) -> AsyncIterator[SourcedSubscription]:
        async with self._subscriber(room, after) as (subscriber, since):
            subscriber.room.sourced += 1
            try:
                yield SourcedSubscription(subscriber, None if since is None else since.after)
            finally:
                subscriber.room.sourced -= 1

    @asynccontextmanager
    async def _subscriber(
        self, room: str, after: str | None
    ) -> AsyncIterator[tuple[Subscriber, Since | None]]:
        check_room_name(room)
        registry = self._registry
        if registry.draining:
            raise ShuttingDown("the server is shutting down: it takes no more subscriptions")
        since = None if after is None else Since(parse_place(after))
        subscriber = Subscriber(registry.settings, registry.memory, is_told=since is not None)
        joined = subscriber.room = registry.enter(room, subscriber, since)
        try:
            await joined.wait_open()
            yield subscriber, since
        finally:
            subscriber.outbox.close()
            registry.leave(joined, subscriber)


def registry_of(hub: Hub) -> Registry:
    """Return the rooms behind a hub, for the parts of a server that put clients into them."""
    return hub._registry
