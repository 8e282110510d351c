"""
What one node writes of who is in its rooms: what has changed in each, gathered, with one command a room.

After a connection was lost, or the engine has forgotten something, each room is checked: that is the same
command, which changes nothing if the engine has what was written last. It also keeps what is written from
expiring. What the engine holds of other rooms, because it has taken up an older state, is removed.

Of each room one change is on its way at a time. What changes meanwhile goes together with the next, so what
waits for a slow engine is bounded, and is not older than it has to be.
"""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import Any

import trio

from trioecho.engine.connection import Connection
from trioecho.engine.presence_index import PresenceIndex, ignore
from trioecho.engine.presence_scripts import CHANGE, DROP, presence_keys
from trioecho.engine.room_presence import KEPT_SECONDS, Keeper, RoomPresence
from trioecho.rooms.presence import GATHER

__all__ = ["PresenceWriter"]

PASS_BYTES = 64 * 1024
WRITE_COST = 512
"""So many bytes are written in one pass of the scheduler; what a command counts beside its names."""

CLEARED_AT_ONCE = 200
"""So many rooms are cleared in one pass."""

CHECKS = 2000
"""So many rooms are checked at a time in which nothing has changed for a third of the time they are kept."""


class PresenceWriter:
    """Writes who is in the rooms of ``node``. Its task is :meth:`run`."""

    def __init__(self, prefix: str, node: bytes) -> None:
        self._connection: Connection | None = None
        self._prefix = prefix
        self._node = node
        self._index = PresenceIndex(prefix, node, KEPT_SECONDS)
        self._rooms: dict[str, RoomPresence] = {}
        self._number = 0
        # What is to be written; and all rooms that were, the longest ago first.
        self._changed: dict[RoomPresence, None] = {}
        self._wake = trio.Event()
        self._written: dict[RoomPresence, None] = {}
        # Those of which the engine has not answered the last change, and whether they have changed again.
        self._unanswered: dict[RoomPresence, bool] = {}

    @property
    def connection(self) -> Connection | None:
        """Where to, if the engine is there; what was written over one that is lost is answered no more."""
        return self._connection

    @connection.setter
    def connection(self, connection: Connection | None) -> None:
        self._connection = connection
        self._unanswered.clear()

    def room(self, name: str) -> RoomPresence | None:
        """Return a room, if there is anything to be known of it."""
        return self._rooms.get(name)

    def open(self, name: str, keeper: Keeper) -> RoomPresence:
        """Return a room, which may be new; it is kept until it is closed, and the engine knows all of it."""
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = RoomPresence(name, self._prefix, keeper)
        room.users += 1
        return room

    def __len__(self) -> int:
        """How many rooms there is anything to be known of."""
        return len(self._rooms)

    def forget_if_over(self, room: RoomPresence) -> None:
        """Forget a room of which there is nothing more to be known or written, though it may have changed."""
        if room.is_over:
            self._changed.pop(room, None)
            self._written.pop(room, None)
            if self._rooms.get(room.name) is room:  # and not the next of this name
                del self._rooms[room.name]

    def changed(self, room: RoomPresence) -> None:
        """Write what has changed in a room, a little later; nothing, if the engine never heard of it."""
        self._changed[room] = None
        self._wake.set()
        self.forget_if_over(room)

    def check(self) -> None:
        """See for every room whether the engine has what was written, and of others nothing."""
        if self.connection is not None:
            self._index.read(self.connection, self._remove_if_unknown)
        for room in self._rooms.values():
            room.doubt()
            self._changed[room] = None
        self._wake.set()

    def rewrite(self) -> None:
        """Write all of every room: others have left this node out."""
        for room in self._rooms.values():
            room.rewrite()
            self._changed[room] = None
        self._wake.set()

    def check_oldest(self, now: float) -> None:
        """See it for those of which nothing has been written for long; keep what is written."""
        if self.connection is not None:
            self._index.renew(self.connection)
        for room in list(islice(self._written, CHECKS)):
            if room.written_at > now - KEPT_SECONDS / 3:
                break
            self.changed(room)

    async def run(self) -> None:
        """Write what changes, until cancelled."""
        while True:
            await self._wake.wait()
            await trio.sleep(GATHER)
            self._wake = trio.Event()
            await self.write()

    async def write(self) -> None:
        """Write what has changed so far, if the engine is there; otherwise it stays to be written."""
        size = 0
        while self._changed and self.connection is not None:
            room = next(iter(self._changed))
            del self._changed[room]
            if room in self._unanswered:
                self._unanswered[room] = True
                continue
            size += self._write(self.connection, room)
            if size > PASS_BYTES:
                size = 0
                await trio.lowlevel.checkpoint()

    async def clear(self) -> None:
        """Remove what was written, and write no more."""
        connection, self.connection = self.connection, None
        for count, room in enumerate(list(self._rooms.values())):
            if connection is None:
                return
            if room.sent:
                keys, number = (room.key, room.names_key), b"%d" % room.sent
                connection.send(b"EVALSHA", DROP, b"2", *keys, self._node, number, then=ignore)
            if count % CLEARED_AT_ONCE == CLEARED_AT_ONCE - 1:
                await trio.lowlevel.checkpoint()
        if connection is not None:
            self._index.clear(connection)

    def _write(self, connection: Connection, room: RoomPresence) -> int:
        self._number += 1
        self._written.pop(room, None)
        words = room.change(self._number)
        if words is None:
            self.forget_if_over(room)
            return 0
        room.written_at = trio.current_time()
        self._written[room] = None
        if words[0] in (b"0", b"*"):
            self._index.add(connection, room.name)
        self._unanswered[room] = False
        keys, then = (room.key, room.names_key), partial(self._confirm, room, room.sent)
        connection.send(b"EVALSHA", CHANGE, b"2", *keys, self._node, *words, then=then)
        return WRITE_COST + len(words[-1])

    def _confirm(self, room: RoomPresence, number: int, reply: Any) -> None:
        again = self._unanswered.pop(room, False)
        room.written(number, done=reply == 1)
        if room.is_removed and self.connection is not None:
            self._index.remove(self.connection, room.name)
        if again:
            self.changed(room)
        else:
            self.forget_if_over(room)

    def _remove_if_unknown(self, connection: Connection, name: str) -> None:
        """Remove what the engine holds of a room, if it should hold nothing."""
        room = self._rooms.get(name)
        if room is None or room.is_unwritten:
            self._number += 1
            words = b"*", b"%d" % self._number, b"0", b"0", b"1", b"%d" % KEPT_SECONDS, b""
            keys = presence_keys(self._prefix, name, self._node)
            connection.send(b"EVALSHA", CHANGE, b"2", *keys, self._node, *words, then=ignore)
            self._index.remove(connection, name)
