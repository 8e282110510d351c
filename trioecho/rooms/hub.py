"""The hub: the rooms, who comes and goes, and the application's own way to publish and subscribe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trioecho.counters import Counters
from trioecho.disconnect import BUG, SHUTDOWN
from trioecho.limits import MAX_ROOM_NAME_BYTES
from trioecho.log import logger
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch
from trioecho.rooms.room import Member, Room
from trioecho.rooms.subscription import Subscription
from trioecho.settings import Settings

__all__ = ["Hub", "TooManyRooms"]


class TooManyRooms(Exception):
    """There are ``max_rooms`` rooms already, and this would be one more."""


class Hub:
    """
    The rooms of one server. ``serve()`` makes it; an application finds it as ``server.hub``.

    A room exists while somebody is in it. Its name is the URL's path, percent-decoded, with the leading
    slash: ``"/"``, ``"/news"``.
    """

    def __init__(self, limits: Settings, nursery: trio.Nursery) -> None:
        self.limits = limits
        self.counters = Counters()
        self._nursery = nursery
        self._rooms: dict[str, Room] = {}

    @property
    def rooms(self) -> dict[str, int]:
        """How many subscribers are in each room, now."""
        return {name: len(room.members) for name, room in self._rooms.items()}

    async def publish(self, room: str, message: str | bytes) -> int:
        """
        Send ``message`` to everybody in ``room`` and return how many that were; 0 if there is no such room.

        Waits while the room is full, as a client would that publishes; not until all have it. The prefix is
        not put before it. If cancelled while it waits, the message was not taken.

        Raises:
            TypeError: the message is neither ``str`` nor ``bytes``.
            ValueError: it is larger than ``max_message_size``, or text that UTF-8 cannot encode.

        """
        frame = frames.encode(message)
        size = len(message.encode() if isinstance(message, str) else message)
        if size > self.limits.max_message_size:
            raise ValueError(
                f"the message has {size} bytes; max_message_size is {self.limits.max_message_size}"
            )
        return await self.relay(room, frame)

    async def relay(self, room: str, frame: bytes) -> int:
        """Publish a message that is a frame already; otherwise like :meth:`publish`."""
        found = self._rooms.get(room)
        if found is None:
            await trio.lowlevel.checkpoint()
            return 0
        await trio.lowlevel.checkpoint()
        receivers = len(found.members)
        await found.publish(Batch(None, frame, 1))
        return receivers

    def room(self, name: str) -> Room | None:
        """Return a room, if anybody is in it."""
        return self._rooms.get(name)

    @asynccontextmanager
    async def subscribe(self, room: str) -> AsyncIterator[Subscription]:
        """
        Be in ``room`` for the length of a ``with`` block, and iterate over its messages.

        A subscription gets what a client would get who publishes nothing. It has a client's outbox with
        its bound and policy: an application that does not keep up is a slow client too.

        Raises:
            TooManyRooms: the room would be one too many.
            ValueError: the name does not begin with a slash, or is longer than 255 bytes.

        """
        if not room.startswith("/") or len(room.encode()) > MAX_ROOM_NAME_BYTES:
            raise ValueError(f"a room's name begins with / and has at most 255 bytes, not {room!r}")
        subscription = Subscription(self.limits)
        joined = self.enter(room, subscription)
        subscription.room = joined
        try:
            yield subscription
        finally:
            subscription.outbox.close()
            self.leave(joined, subscription)

    def enter(self, name: str, member: Member) -> Room:
        """
        Put ``member`` into the room ``name``, which is made if need be.

        Raises:
            TooManyRooms: the room would be one too many.

        """
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self.limits.max_rooms:
                raise TooManyRooms(name)
            room = self._rooms[name] = Room(name, self.limits, self.counters)
            self._nursery.start_soon(self._broadcast, room, name=f"trioecho room {name!r}")
        room.members[member] = member.outbox
        return room

    def leave(self, room: Room, member: Member) -> None:
        """Take ``member`` out of ``room``; the last one out ends it. Leaving twice is harmless."""
        outbox = room.members.pop(member, None)
        if outbox is not None:
            room.dropped += outbox.dropped
        room.on_space()
        if not room.members and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            room.stop()

    async def finish(self, deadline: float) -> None:
        """Let every room fan out what it has taken; each waits for its slow members until ``deadline``."""
        async with trio.open_nursery() as nursery:
            for room in self._rooms.values():
                nursery.start_soon(room.finish, deadline)
        for room in self._rooms.values():
            for member in tuple(room.members):
                if isinstance(member, Subscription):
                    member.disconnect(SHUTDOWN)

    async def _broadcast(self, room: Room) -> None:
        """Run a room's broadcaster; if it fails, that is our bug and the end of that room alone."""
        try:
            await room.broadcast()
        except Exception:
            logger.exception("the broadcaster of room %r failed; its clients are disconnected", room.name)
            for member in tuple(room.members):
                member.disconnect(BUG)
