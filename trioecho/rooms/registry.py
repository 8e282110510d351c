"""
The registry: which rooms there are, and who comes and goes.

It is what the server's own parts use; an application has :class:`~trioecho.rooms.hub.Hub` in front of it.

A room is made when somebody first enters it, or something first holds it, and ends when nobody is left of
either. Its broadcaster is a task of the registry's nursery. A broadcaster that fails is our bug, and the end
of that room alone: its members are disconnected, and whoever enters under its name next gets a new room.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from trioecho.counters import Counters
from trioecho.disconnect import BUG, SHUTDOWN
from trioecho.log import logger
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.room import Member, Room
from trioecho.settings import Settings

__all__ = ["Registry", "ShuttingDown", "TooManyRooms"]


class TooManyRooms(Exception):
    """There are ``max_rooms`` rooms already, and this would be one more."""


class ShuttingDown(Exception):
    """The server is shutting down: it takes no more messages and no more subscriptions."""


class Registry:
    """
    The rooms of one server.

    Attributes:
        limits: the server's options.
        counters: what has been counted, in all rooms and by those who are in them.
        draining: whether no more is taken, because the server shuts down.

    """

    def __init__(self, limits: Settings, nursery: trio.Nursery) -> None:
        self.limits = limits
        self.counters = Counters()
        self.draining = False
        self._nursery = nursery
        self._rooms: dict[str, Room] = {}

    @property
    def rooms(self) -> dict[str, int]:
        """How many members are in each room, now."""
        return {name: len(room.members) for name, room in self._rooms.items()}

    def room(self, name: str) -> Room | None:
        """Return a room, if it is there."""
        return self._rooms.get(name)

    def enter(self, name: str, member: Member) -> Room:
        """
        Put ``member`` into the room ``name``, which is made if need be.

        Raises:
            TooManyRooms: the room would be one too many.

        """
        room = self._open(name)
        room.add(member)
        return room

    def leave(self, room: Room, member: Member) -> None:
        """Take ``member`` out of ``room``, and end the room if nobody needs it. Leaving twice is harmless."""
        room.remove(member)
        self._close_if_unused(room)

    @contextmanager
    def hold(self, name: str) -> Iterator[Room]:
        """
        Keep the room ``name`` open for the length of a ``with`` block, with members or without.

        Raises:
            TooManyRooms: the room would be one too many.

        """
        room = self._open(name)
        room.holds += 1
        try:
            yield room
        finally:
            room.holds -= 1
            self._close_if_unused(room)

    async def relay(self, name: str, frame: bytes) -> int:
        """
        Publish a message of the application's, given as a frame, and return how many members get it.

        Raises:
            ShuttingDown: the message was not taken.

        """
        await trio.lowlevel.checkpoint()
        if self.draining:
            self.counters.messages_late += 1
            raise ShuttingDown("the server is shutting down: the message was not taken")
        room = self._rooms.get(name)
        if room is None:
            return 0
        if await room.publish(Batch(Origin.APPLICATION, frame, 1)):
            return len(room.members)
        if self.draining:
            raise ShuttingDown("the server is shutting down: the message was not taken")
        return 0  # the room ended while the message waited to be taken

    async def drain(self, deadline: float) -> None:
        """
        Take no more, and let every room fan out what it has taken.

        Each waits for its slow members until ``deadline``. The application's subscriptions end then, once
        they have taken what is queued for them.
        """
        self.draining = True
        async with trio.open_nursery() as nursery:
            for room in self._rooms.values():
                nursery.start_soon(room.drain, deadline)
        for room in self._rooms.values():
            for member in tuple(room.members):
                if member.kind == "application":
                    member.disconnect(SHUTDOWN)

    def _open(self, name: str) -> Room:
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self.limits.max_rooms:
                raise TooManyRooms(name)
            room = self._rooms[name] = Room(name, self.limits, self.counters, draining=self.draining)
            self._nursery.start_soon(self._broadcast, room, name=f"trioecho room {name!r}")
        return room

    def _close_if_unused(self, room: Room) -> None:
        if not room.members and not room.holds and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            room.close()

    async def _broadcast(self, room: Room) -> None:
        """Run a room's broadcaster; if it fails, take the room out and disconnect its members."""
        try:
            await room.broadcast()
        except Exception:
            logger.exception("the broadcaster of room %r failed; its clients are disconnected", room.name)
            if self._rooms.get(room.name) is room:
                del self._rooms[room.name]
            for member in tuple(room.members):
                member.disconnect(BUG)
