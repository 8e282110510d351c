"""
The registry: which rooms there are, and who comes and goes.

It is what the server's own parts use; an application has :class:`~trioecho.rooms.hub.Hub` in front of it.

A room is made when somebody first enters it, or something first holds it, and ends when nobody is left of
either. Its broadcaster is a task of the registry's nursery. A broadcaster that fails is our bug, and the end
of that room alone: its members are disconnected, and whoever enters under its name next gets a new room.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial

import trio

from trioecho.counters import Counters
from trioecho.disconnect import BUG, SHUTDOWN
from trioecho.log import logger
from trioecho.memory import Memory
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.compression import Compressor
from trioecho.rooms.errors import ShuttingDown, TooManyRooms
from trioecho.rooms.exclusion import prepare, recipients_in
from trioecho.rooms.histories import Histories
from trioecho.rooms.holder import Holder
from trioecho.rooms.log import Logs
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.presence import Presence
from trioecho.rooms.room import Room
from trioecho.rooms.shared_room import SharedRoom
from trioecho.rooms.since import Past, Since
from trioecho.rooms.slow_history import SlowHistory
from trioecho.settings import Settings

__all__ = ["Registry", "ShuttingDown", "TooManyRooms"]

NOT_TAKEN = "the server is shutting down: the message was not taken"


class Registry:
    """
    The rooms of one server.

    Attributes:
        settings: the server's options.
        counters: what has been counted, in all rooms and by those who are in them.
        memory: what is held for those who are in them, and for all others whom the server serves.
        histories: what its rooms remember.
        logs: what the rooms share with other servers, if anything.
        draining: whether no more is taken, because the server shuts down.
        connections: those of each server that serves these rooms.
        shedding: held by the one who frees memory; each server would, and one does.

    """

    def __init__(
        self,
        settings: Settings,
        nursery: trio.Nursery,
        *,
        counters: Counters | None = None,
        logs: Logs | None = None,
    ) -> None:
        self.settings = settings
        self.counters = Counters() if counters is None else counters
        self.logs = logs
        self.memory = Memory(settings.max_memory)
        self.histories = Histories(settings)
        self.draining = False
        self.connections: list[AbstractSet[Holder]] = []
        self.shedding = trio.Lock()
        self.compressor = Compressor(settings, self.counters)
        self._nursery = nursery
        self._rooms: dict[str, Room] = {}
        self._slow = SlowHistory()

    @property
    def rooms(self) -> dict[str, int]:
        """How many members are in each room, now."""
        return {name: room.size for name, room in self._rooms.items()}

    @property
    def occupants(self) -> list[Occupant]:
        """Everybody in all rooms."""
        return [member for room in self._rooms.values() for member in (*room.members, *room.coming)]

    @property
    def subscribers(self) -> list[Occupant]:
        """The application's own members of all rooms."""
        return [member for member in self.occupants if member.kind == "application"]

    def room(self, name: str) -> Room | None:
        """Return a room, if it is there."""
        return self._rooms.get(name)

    def enter(
        self, name: str, member: Occupant, since: Since | None = None, *, watches: bool = False
    ) -> Room:
        """
        Put ``member`` into the room ``name``, which is made if need be.

        It gets what is fanned out from now on, and before that what was since a place in the past. If it
        ``watches``, it is told who else is there. Its outbox is new, and not open yet.

        Raises:
            TooManyRooms: the room would be one too many.

        """
        room = self._open(name)
        if since is None and member.outbox.tell is None:
            room.add(member)
        else:
            room.coming.add(member)
            room.when_open(partial(self._begin, room, member, since))
        if watches and self.settings.presence:
            if room.presence is None:
                room.presence = Presence(room)
                self._nursery.start_soon(room.presence.run)
            room.presence.watch(member.outbox)
        return room

    def _begin(self, room: Room, member: Occupant, since: Since | None) -> None:
        if member in room.coming:
            Past(room, member, since, self.counters, self.settings.max_pending_bytes).begin()

    def leave(self, room: Room, member: Occupant) -> None:
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

        Where nobody is, it is remembered for those who come.

        Raises:
            ShuttingDown: the message was not taken.

        """
        return await self.publish(name, Batch(Origin.APPLICATION, frame, 1))

    async def publish(self, name: str, batch: Batch) -> int:
        """
        Publish a message of the application's, or of a request; as :meth:`relay`.

        Raises:
            ShuttingDown: the message was not taken.

        """
        await trio.lowlevel.checkpoint()
        self._check_open()
        while (room := self._rooms.get(name)) is not None:
            prepare(room, batch)
            if await room.publish(batch):
                return recipients_in(room, batch)
            if self.draining:
                raise ShuttingDown(NOT_TAKEN)
            # The room ended while the message waited to be taken; another may be there by now.
        if self.logs is None:
            self.histories.publish(name, batch)
        else:
            await self.logs.publish(name, batch)
        return 0

    def publish_nowait(self, name: str, batch: Batch) -> int:
        """
        Publish as :meth:`publish`, without waiting.

        Raises:
            trio.WouldBlock: the room is full; the message was not taken.
            ShuttingDown: likewise.

        """
        self._check_open()
        room = self._rooms.get(name)
        if room is not None:
            prepare(room, batch)
            if room.publish_nowait(batch):
                return recipients_in(room, batch)
        if self.logs is None:
            self.histories.publish(name, batch)
        else:
            self.logs.publish_nowait(name, batch)
        return 0

    def _check_open(self) -> None:
        if self.draining:
            self.counters.messages_late += 1
            raise ShuttingDown(NOT_TAKEN)

    async def flush(self, deadline: float) -> None:
        """Wait until every room has fanned out what it has taken so far, or until ``deadline``."""
        with trio.move_on_at(deadline):
            async with trio.open_nursery() as nursery:
                for room in self._rooms.values():
                    nursery.start_soon(room.flush)

    def close(self) -> None:
        """Take nobody and nothing any more: whoever is still in a room is disconnected."""
        self.draining = True
        for member in self.occupants:
            member.disconnect(SHUTDOWN)

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
        if self.logs is not None:
            with trio.move_on_at(deadline):
                await self.logs.drain()
        for member in self.subscribers:
            member.disconnect(SHUTDOWN)

    def check_space(self, name: str) -> None:
        """
        See whether somebody could enter the room ``name``, before anything is made for them.

        Raises:
            TooManyRooms: the room would be one too many.

        """
        if name not in self._rooms and len(self._rooms) >= self.settings.max_rooms:
            raise TooManyRooms(name)

    def _open(self, name: str) -> Room:
        self.check_space(name)
        room = self._rooms.get(name)
        if room is None:
            make = Room if self.logs is None else partial(SharedRoom, logs=self.logs)
            room = self._rooms[name] = make(
                name,
                self.settings,
                self.counters,
                self.histories.open(name),
                memory=self.memory,
                compressor=self.compressor,
                slow=self._slow,
                draining=self.draining,
            )
            self._nursery.start_soon(self._broadcast, room, name=f"trioecho room {name!r}")
        return room

    def _close_if_unused(self, room: Room) -> None:
        if not room.members and not room.coming and not room.holds and self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            room.close()
            if self.logs is None:
                self.histories.close(room.name, room.history)
            else:
                self.histories.drop(room.history)  # it is in the room's log

    async def _broadcast(self, room: Room) -> None:
        """Run a room's broadcaster; if it fails, take the room out and disconnect its members."""
        try:
            await room.broadcast()
        except Exception:
            logger.exception("the broadcaster of room %r failed; its clients are disconnected", room.name)
            if self._rooms.get(room.name) is room:
                del self._rooms[room.name]
            self.histories.drop(room.history)  # what got lost of it, nobody knows
            for member in (*room.members, *room.coming):
                member.disconnect(BUG)
