"""
A link: one connection to the engine at work. It appends batches, reads logs on, and hears what is pushed.

What it was asked for ends with it: over the next one, everything is asked for again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Protocol

import trio

from trioecho.engine.answers import Answers
from trioecho.engine.connection import Connection
from trioecho.engine.dial import eviction_policy, greet
from trioecho.engine.errors import EngineLost
from trioecho.engine.feed import Entry, State
from trioecho.engine.outgoing import Outgoing, Sent
from trioecho.engine.presence import Presences
from trioecho.engine.room_log import RoomLog
from trioecho.engine.scripts import APPEND, OPEN, SINCE, keys_of, sha
from trioecho.engine.troubles import Troubles
from trioecho.engine_url import EngineAddress
from trioecho.rooms.log import Remembered
from trioecho.rooms.place import Place, new_epoch
from trioecho.settings import Settings

__all__ = ["Link", "Logbook"]

READS = 8
READ_BYTES = 256 * 1024
"""So many rooms are read at a time, and so many bytes of each (one entry more): what the engine holds for a
subscriber is bounded (32 MiB), and beyond that it closes the connection."""

PAST_BYTES = 2**20
"""How much of a room's past is read at most when it opens (bytes)."""

LOG_MESSAGES, LOG_BYTES, LOG_SECONDS = 10_000, 4 * 2**20, 60
"""What a log keeps at least, for a node that has fallen behind or was away."""

CHAIN_SECONDS = 600.0
"""A log that a node has not appended to for so long may have been forgotten in an ordinary way."""

MOST_CHAINS = 100_000

SUBSCRIBED_AT_ONCE = 500

APPEND_NAME, SINCE_NAME, OPEN_NAME = sha(APPEND), sha(SINCE), sha(OPEN)


class Logbook(Protocol):
    """What a link asks of whoever has it."""

    node: bytes
    outgoing: Outgoing
    answers: Answers

    @property
    def logs(self) -> Mapping[bytes, RoomLog]:
        """The logs that are read, by their channel."""

    @property
    def presences(self) -> Presences | None:
        """What shares who is in the rooms, over the same connection."""

    @property
    def troubles(self) -> Troubles:
        """What is wrong with the engine."""

    def confirmed(self, sent: Sent) -> None:
        """Take notice that the engine has a batch."""


class Link:
    """
    One connection over ``stream``, for the rooms of ``book``.

    Attributes:
        takes: whether batches can be appended; before, they would come before those that are older.
        is_up: whether rooms are read: the engine has taken all that it should have.

    """

    def __init__(self, stream: trio.abc.Stream, settings: Settings, book: Logbook) -> None:
        self.takes = self.is_up = False
        self._connection = Connection(stream, self._pushed)
        self._stream = stream
        self._book = book
        self._prefix = settings.engine_prefix
        self._to_read: deque[RoomLog] = deque()
        self._reading = 0
        # Of each log appended to: the last number, the epoch and when.
        self._chains: dict[str, tuple[int, bytes, float]] = {}
        kept = (
            max(settings.history, LOG_MESSAGES),
            max(settings.history_bytes, LOG_BYTES),
            math.ceil(max(settings.history_age, LOG_SECONDS)),
        )
        self._kept = [b"%d" % bound for bound in kept]
        past = settings.history, min(settings.history_bytes, PAST_BYTES)
        self._past = [b"%d" % bound for bound in past]
        self._history = settings.history

    @property
    def heard_at(self) -> float:
        """When the engine was last heard (trio time)."""
        return self._connection.heard_at

    @property
    def round_trip(self) -> float:
        """How long it took to answer the last ping (seconds)."""
        return self._connection.round_trip

    async def run(self, address: EngineAddress, task_status: trio.TaskStatus[int]) -> None:
        """
        Use the connection until it is lost.

        First all is appended again that the engine may not have; it has started when the engine has answered
        that, with how much it was.

        Raises:
            EngineLost: always, with the reason.

        """
        connection = self._connection
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.run)
                await greet(connection, address)
                self._book.troubles.evicts(await eviction_policy(connection))
                for script in (APPEND, SINCE, OPEN):
                    await connection.call(b"SCRIPT", b"LOAD", script)
                outgoing = self._book.outgoing
                before = outgoing.resent
                self.takes = True
                for sent in outgoing.again():
                    self.append(sent)
                await connection.call(b"PING")
                task_status.started(outgoing.resent - before)
                await trio.sleep_forever()
        finally:
            self.is_up = False
            self._book.answers.disconnected()
            if self._book.presences is not None:
                self._book.presences.disconnected()
            await trio.aclose_forcefully(self._stream)

    def follow(self, logs: Iterable[RoomLog]) -> None:
        """Have what is added to logs pushed, and read them on from where their feeds are."""
        if not self.is_up:
            self._book.answers.connected(self._connection)
            if self._book.presences is not None:
                self._book.presences.connected(self._connection)
        self.is_up = True
        logs = list(logs)
        for start in range(0, len(logs), SUBSCRIBED_AT_ONCE):
            self._connection.subscribe([log.key for log in logs[start : start + SUBSCRIBED_AT_ONCE]])
        self.read(log for log in logs if log.feed.state is not State.BEHIND)

    def unfollow(self, log: RoomLog) -> None:
        """Have no more of it pushed."""
        self._connection.unsubscribe([log.key])

    def read(self, logs: Iterable[RoomLog]) -> None:
        """Read logs on, in their turn."""
        self._to_read.extend(logs)
        self._read_more()

    def append(self, sent: Sent) -> None:
        """Append a batch, without waiting."""
        now = trio.current_time()
        before, epoch, when = self._chains.get(sent.room, (0, b"", now))
        if when < now - CHAIN_SECONDS:
            before, epoch = 0, b""
        if len(self._chains) >= MOST_CHAINS:
            self._chains.clear()
        self._chains[sent.room] = (sent.number, epoch, now)
        self._connection.send(
            b"EVALSHA",
            APPEND_NAME,
            b"2",
            *keys_of(self._prefix, sent.room),
            b"%d" % sent.messages,
            self._book.node,
            b"%d" % sent.number,
            b"%d" % before,
            epoch,
            new_epoch().encode(),
            *self._kept,
            sent.frames,
            then=partial(self._appended, sent),
        )

    def _appended(self, sent: Sent, reply: Any) -> None:
        chain = self._chains.get(sent.room)
        if chain is not None and chain[1] != reply[0]:
            self._chains[sent.room] = (chain[0], reply[0], chain[2])
        self._book.confirmed(sent)

    def _read_more(self) -> None:
        while self._to_read and self._reading < READS:
            log = self._to_read.popleft()
            if not log.closed:
                self._reading += 1
                self._read_now(log)

    def _read_now(self, log: RoomLog) -> None:
        feed, fresh, seconds = log.feed, new_epoch().encode(), self._kept[-1]
        if feed.state is State.NEW:
            script, words, then = OPEN_NAME, (fresh, *self._past, seconds), self._opened
        else:
            place = feed.epoch.encode(), b"%d" % feed.offset, *feed.last
            script, words, then = SINCE_NAME, (*place, fresh, b"%d" % READ_BYTES, seconds), self._answered
        self._connection.send(b"EVALSHA", script, b"2", log.key, log.meta, *words, then=partial(then, log))

    def _opened(self, log: RoomLog, reply: Any) -> None:
        self._reading -= 1
        if not log.closed:
            epoch, top, now, found = reply
            entries = [(_entry(one), int(one[1][7])) for one in reversed(found)]
            last = (entries[-1][0].node, entries[-1][0].number) if entries else (b"", b"")
            past = [
                Remembered(top - count, count, frames, max(0.0, (now - when) / 1000))
                for (top, count, _, _, frames), when in entries
                if self._history
            ]
            log.feed.opened(Place(epoch.decode(), top), last, past)
            log.wake()
        self._read_more()

    def _answered(self, log: RoomLog, reply: Any) -> None:
        self._reading -= 1
        if not log.closed:
            epoch, top, began, found = reply
            if log.feed.answered(epoch.decode(), top, began, [_entry(one) for one in found]):
                self._to_read.append(log)
            log.wake()
        self._read_more()

    def _pushed(self, channel: bytes, message: bytes) -> None:
        log = self._book.logs.get(channel)
        if log is None:
            self._book.answers.heard(channel, message)
            if self._book.presences is not None:
                self._book.presences.heard(channel, message)
            return
        head, _, frames = message.partition(b"\n")
        try:
            epoch, top, count, node, number = head.split(b" ")
            entry = Entry(int(top), int(count), node, number, frames)
            again = log.feed.pushed(epoch.decode(), entry)
        except ValueError:
            return  # it is from somebody else, and stands in no log
        if again:
            self.read([log])
        log.wake()


def _entry(found: Any) -> Entry:
    """
    Return an entry of a stream.

    Raises:
        EngineLost: it is none of ours.

    """
    try:
        name, (_, node, _, number, _, count, _, _, _, frames) = found
        return Entry(int(name.partition(b"-")[0]), int(count), node, number, frames)
    except (ValueError, TypeError, AttributeError):
        raise EngineLost(
            "a log of its own holds something else: is --engine-prefix used by others?"
        ) from None
