"""
Presence over nodes: what one node lets the others know of who is in its rooms, and what it learns of theirs.

It is state, not a log. What changes on a node is gathered for a tenth of a second, written into the engine
with one command a room, and pushed to those nodes on which somebody watches that room; nobody else reads
anything. A push only saves a question: over every new connection, and wherever something is missing, a room
is read, and the difference is told. Over every new connection a node sees, too, whether the engine still has
what it has written, and writes it anew where it has not.

A node that has died says nothing of that. It is dead when it has not been heard for ten seconds; the first
who sees that tells all nodes, which leave it out of all their rooms, and clears away what it has left in the
rooms that it watches itself. Elsewhere the next who reads a room does, or it expires.

While the engine is away no node is heard: a server that has no engine for ten seconds lists its own members.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import trio

from trioecho.engine.connection import Connection
from trioecho.engine.elsewhere import Elsewhere, parse_names, parse_push, parse_said
from trioecho.engine.nodes import DEAD_SECONDS, Nodes
from trioecho.engine.presence_index import ignore
from trioecho.engine.presence_questions import PresenceQuestions
from trioecho.engine.presence_reader import PresenceReader
from trioecho.engine.presence_scripts import (
    BEAT,
    DROP,
    LEAVE,
    SCRIPTS,
    nodes_key,
    presence_keys,
)
from trioecho.engine.presence_writer import PresenceWriter
from trioecho.engine.room_presence import KEPT_SECONDS, RoomPresence

__all__ = ["Presences"]

PASS_MEMBERS = 500
"""So many members of a dead node are left out in one pass."""

SUBSCRIBED_AT_ONCE = 500

ASK_SECONDS = 1.0
"""How long an answer is waited for."""


class Presences:
    """The presence of all rooms, on ``node``. Its task is :meth:`run`; it costs nothing until it is used."""

    def __init__(self, prefix: str, node: bytes) -> None:
        self.node = node
        self._prefix = prefix
        self._nodes_key = nodes_key(prefix)
        self._nodes = Nodes(node)
        self._writer = PresenceWriter(prefix, node)
        self._reader = PresenceReader(node)
        self._questions = PresenceQuestions(self._reader, self._take)
        self._connection: Connection | None = None
        self._connected = trio.Event()
        self._watched: dict[bytes, RoomPresence] = {}
        # Who is to be left out, and whether to clear away what is left of them.
        self._gone: deque[tuple[bytes, bool]] = deque()
        self._swept = trio.Event()
        self._used = trio.Event()
        self._left = self._unsettled = self._beating = False

    def __len__(self) -> int:
        """How many rooms there is anything to be known of."""
        return len(self._writer)

    # What rooms and those who ask want of it.

    def open(self, name: str) -> RoomPresence:
        """Share the presence of a room."""
        self._use()
        return self._writer.open(name, self)

    async def ask(self, name: str) -> Elsewhere:
        """Return who is in a room on other nodes; nobody, if that can't be found out soon."""
        self._use()
        room = self._writer.room(name)
        if room is not None and room.is_watched and (room.is_level or self._connection is None):
            return room.elsewhere
        key, _ = presence_keys(self._prefix, name, self.node)
        with trio.move_on_after(ASK_SECONDS):
            await self._connected.wait()
            return await self._questions.ask(key)
        return Elsewhere()

    def changed(self, room: RoomPresence) -> None:
        """Write what has changed in a room, a little later."""
        self._writer.changed(room)

    def closed(self, room: RoomPresence) -> None:
        """Forget a room, if nothing more is to be known of it."""
        self._writer.forget_if_over(room)

    def begin_watching(self, room: RoomPresence) -> None:
        """Have pushed what changes in a room elsewhere, and read who is there."""
        self._watched[room.key] = room
        if self._connection is not None:
            self._connection.subscribe([room.key])
            self._read_room(room)

    def end_watching(self, room: RoomPresence) -> None:
        """Have no more of it pushed."""
        del self._watched[room.key]
        if self._connection is not None:
            self._connection.unsubscribe([room.key])
        self._writer.forget_if_over(room)

    def _use(self) -> None:
        if not self._used.is_set():
            self._used.set()
            if self._connection is not None:
                self._begin(self._connection)

    # The connection.

    def connected(self, connection: Connection) -> None:
        """Go on over a new connection."""
        if self._left:
            return
        self._connection = self._writer.connection = self._reader.connection = connection
        if self._used.is_set():
            self._begin(connection)
        self._connected.set()

    def disconnected(self) -> None:
        """Take notice that it is lost: what was asked is not answered any more."""
        self._connection = self._writer.connection = self._reader.connection = None
        self._beating = False
        self._questions.disconnected()
        self._connected = trio.Event()
        for room in self._watched.values():
            room.is_level = False

    def _begin(self, connection: Connection) -> None:
        for script in SCRIPTS:
            connection.send(b"SCRIPT", b"LOAD", script, then=ignore)
        connection.subscribe([self._nodes_key])
        self._beat()
        watched = list(self._watched)
        for start in range(0, len(watched), SUBSCRIBED_AT_ONCE):
            connection.subscribe(watched[start : start + SUBSCRIBED_AT_ONCE])
        for room in self._watched.values():
            self._read_room(room)
        self._writer.check()

    def heard(self, channel: bytes, message: bytes) -> None:
        """Take what was pushed."""
        if channel == self._nodes_key:
            node, _, by = message[1:].partition(b" ")
            if message[:1] == b"+":
                self._nodes.came(node, trio.current_time())
            else:
                self._nodes.left(node)
                self._leave_out(node, clear=by == self.node)
                if node == self.node and not self._left:
                    self._beat()  # it was taken for dead
            return
        room = self._watched.get(channel)
        if room is None or not room.is_level or message.startswith(self.node + b" "):
            return
        try:
            again = room.elsewhere.pushed(parse_push(message))
        except ValueError:
            return  # it is from somebody else
        if again:
            self._read_room(room)

    # Its tasks.

    async def run(self) -> None:
        """Write and beat, once it is used, until cancelled."""
        await self._used.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._writer.run)
            nursery.start_soon(self._keep_leaving_out)
            await self._keep_beating()

    async def leave(self) -> None:
        """Tell the others that nobody is here any more, as the last thing; wait until the engine knows."""
        connection, self._left = self._connection, True
        if connection is not None and self._used.is_set():
            with trio.move_on_after(ASK_SECONDS):
                known = trio.Event()
                words = b"EVALSHA", LEAVE, b"1", self._nodes_key, self.node
                connection.send(*words, then=lambda _: known.set())
                await self._writer.clear()
                await known.wait()

    async def _keep_beating(self) -> None:
        while not self._left:
            now = trio.current_time()
            if self._connection is not None:
                self._beat()
            else:
                for node in self._nodes.silent(now):
                    self._leave_out(node)
            if self._unsettled and now >= self._nodes.unsettled_until:
                self._unsettled = False
                for room in self._watched.values():
                    self._read_room(room)
            self._writer.check_oldest(now)
            await trio.sleep_until(self._nodes.next_look(now))

    def _beat(self) -> None:
        if self._connection is None or self._beating:
            return
        self._beating = True
        words = b"EVALSHA", BEAT, b"1", self._nodes_key, self.node, b"%d" % (DEAD_SECONDS * 1000)
        self._connection.send(*words, b"%d" % KEPT_SECONDS, then=self._beaten)

    def _beaten(self, reply: Any) -> None:
        self._beating = False
        is_new, ages = reply
        now = trio.current_time()
        silent = {node: int(age) / 1000 for node, age in zip(ages[::2], ages[1::2], strict=True)}
        for node in self._nodes.listed(silent, now, is_new=is_new == 1):
            self._leave_out(node)
        if is_new:
            self._unsettled = True
            self._writer.rewrite()

    # What is read, and left out.

    def _read_room(self, room: RoomPresence) -> None:
        room.is_level = False
        if self._connection is not None:
            here = room, room.elsewhere
            self._reader.read(room.key, partial(self._answer, *here), partial(self._is_wanted, *here))

    def _is_wanted(self, room: RoomPresence, elsewhere: Elsewhere) -> bool:
        return room.elsewhere is elsewhere and room.is_watched

    def _answer(self, room: RoomPresence, elsewhere: Elsewhere, reply: Any) -> None:
        if self._is_wanted(room, elsewhere):
            room.is_level = True
            cleared = self._take(room.key, elsewhere, reply)
            if cleared and elsewhere.lacks_names:  # the dead had made them too many
                self._read_room(room)

    def _take(self, key: bytes, elsewhere: Elsewhere, reply: Any) -> bool:
        """Take what was read, but for what dead nodes have left behind: clear that away, if there is any."""
        found, cleared = [], False
        for node, text, names in reply:
            try:
                said = parse_said(text)
                if node in self._nodes:
                    found.append((node, said, None if names is None else parse_names(names)))
                else:
                    self._clear(key, node, said.number)
                    cleared = True
            except ValueError:
                continue  # it is from somebody else
        elsewhere.read(found, trio.current_time() < self._nodes.unsettled_until)
        return cleared

    def _clear(self, key: bytes, node: bytes, number: int) -> None:
        if self._connection is not None:
            words = b"EVALSHA", DROP, b"2", key, b"%s:%s" % (key, node), node, b"%d" % number
            self._connection.send(*words, then=ignore)

    def _leave_out(self, node: bytes, *, clear: bool = False) -> None:
        self._gone.append((node, clear))
        self._swept.set()

    async def _keep_leaving_out(self) -> None:
        while True:
            await self._swept.wait()
            self._swept = trio.Event()
            while self._gone:
                await self._sweep(*self._gone.popleft())

    async def _sweep(self, node: bytes, clear: bool) -> None:
        """Leave a node out of all rooms, unless it has turned out to live."""
        members = 0
        for room in list(self._watched.values()):
            if node in self._nodes:
                return
            said = room.elsewhere.drop(node)
            if said is not None and clear:
                self._clear(room.key, node, said.number)
            if said is not None:
                members += 1 + said.named
            if members > PASS_MEMBERS:
                members = 0
                await trio.lowlevel.checkpoint()
