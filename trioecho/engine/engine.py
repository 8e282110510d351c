"""
The engine, as one node has it: the logs of its rooms, over one connection, made again whenever it is lost.

Whatever happens is repaired in one way: over every new connection all is appended again that may be missing,
and all rooms read on from where they are. An error that the engine answers ends the connection, so it takes
the same way.

While the engine is away, what is published waits, in its order. When it has been away for
``engine_patience``, the node goes on alone if it is told to (``when_engine_down="local"``): it delivers what
waits and what comes to its own clients, and keeps it for the others.
"""

from __future__ import annotations

import logging
import random

import trio

from trioecho.engine.answers import Answers
from trioecho.engine.dialer import Dialer
from trioecho.engine.errors import EngineLost, EngineRefused, first_of
from trioecho.engine.feed import Feed, State
from trioecho.engine.link import Link
from trioecho.engine.outgoing import Outgoing, Sent
from trioecho.engine.presence import Presences
from trioecho.engine.room_log import RoomLog
from trioecho.engine.scripts import keys_of
from trioecho.engine.troubles import Troubles
from trioecho.engine_url import parse_engine_url
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.log import LogFigures, LogReader
from trioecho.rooms.place import new_epoch
from trioecho.settings import Settings

__all__ = ["Engine"]

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""How long to wait before connecting again (seconds); half as much again each time,
and spread by half."""

LOOK = 0.1
"""How often to look whether the engine has been away too long (seconds)."""

CHECK_SECONDS = 300.0
"""How often a room is read where nothing comes: it keeps its log's count from being forgotten."""


class Engine:
    """
    The logs of all rooms, for one node. Its task is :meth:`run`.

    Attributes:
        node: the name of this node, a new one for each.
        logs: the logs that are read, by their channel.
        outgoing: what this node has appended.
        dialer: what connects to it.
        patience: how long a room waits to be opened (seconds).
        alone: whether the node goes on by itself.
        is_down: whether the engine has been away for longer than it is waited for.
        connects: how often it was connected to.
        answers: what is answered to who asks all nodes.
        presences: what shares who is in the rooms; ``None`` if nobody is told.
        troubles: what is wrong with it.

    """

    def __init__(self, settings: Settings) -> None:
        assert settings.engine is not None
        self.node = new_epoch().encode()
        self.logs: dict[bytes, RoomLog] = {}
        self.outgoing = Outgoing()
        self.patience = settings.engine_patience
        self.alone = self.is_down = False
        self.connects = 0
        self.answers = Answers(settings.engine_prefix)
        self.troubles = Troubles()
        self.presences = Presences(settings.engine_prefix, self.node) if settings.presence else None
        self._address = parse_engine_url(settings.engine)
        self.dialer = Dialer(self._address)
        self._settings = settings
        self._link: Link | None = None
        self._line = trio.lowlevel.ParkingLot()
        self._away_since: float | None = 0.0
        # What the feeds of rooms that have ended counted.
        self._known = self._missed = self._epochs = 0

    # What rooms ask of it.

    def open(self, room: LogReader) -> RoomLog:
        """Begin to read the log of a room."""
        source = Origin.APPLICATION if self._settings.to == "sender" else Origin.ELSEWHERE
        keys = keys_of(self._settings.engine_prefix, room.name)
        feed = Feed(room, self.node, source)
        log = self.logs[keys[0]] = RoomLog(self, room, feed, keys, self._settings.max_pending_bytes)
        if self._link is not None and self._link.is_up:
            self._link.follow([log])
        elif self.alone:
            feed.go_alone()
        return log

    def forget(self, log: RoomLog) -> None:
        """Read a log no more."""
        self._known += log.feed.known
        self._missed += log.feed.trimmed
        self._epochs += log.feed.epochs
        if self.logs.get(log.key) is log:
            del self.logs[log.key]
            if self._link is not None and self._link.is_up:
                self._link.unfollow(log)

    async def publish(self, room: str, batch: Batch) -> None:
        """Append a batch to the log of a room in which nobody is here; waits while too much is on its way."""
        while self.is_full:
            await self.wait_space()
        self.add(room, batch)

    def publish_nowait(self, room: str, batch: Batch) -> None:
        """Do as :meth:`publish`; raises ``trio.WouldBlock`` if it would have to wait."""
        if self.is_full:
            raise trio.WouldBlock
        self.add(room, batch)

    @property
    def is_full(self) -> bool:
        """Whether publishers have to wait, whatever their room."""
        return self.outgoing.is_full and not self.alone

    async def wait_space(self) -> None:
        """Wait until :attr:`is_full` may have changed."""
        try:
            await self._line.park()
        finally:
            self._admit()

    def _admit(self) -> None:
        if self._line and not self.is_full:
            self._line.unpark()

    def add(self, room: str, batch: Batch) -> int:
        """Append a batch to a room's log, and return its number; it is kept until the engine has it."""
        sent = self.outgoing.add(room, batch.count, batch.frames, batch.cost)
        if self.alone:
            self.outgoing.drop_oldest()
        if self._link is not None and self._link.takes:
            self._link.append(sent)
        return sent.number

    def read(self, log: RoomLog) -> None:
        """Read a log on from where its feed is, in its turn."""
        if self._link is not None and self._link.is_up:
            self._link.read([log])

    def confirmed(self, sent: Sent) -> None:
        """Take notice that the engine has a batch."""
        self.outgoing.confirm(sent.number)
        self._admit()

    # The connection.

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        self._away_since = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self.troubles.run)
            if self.presences is not None:
                nursery.start_soon(self.presences.run)
            pause = FIRST_PAUSE
            while True:
                try:
                    await self._use(await self.dialer.connect(), self.dialer.host)
                except EngineLost as lost:
                    self._lost(self.dialer.host, str(lost))
                    if lost.spoke:
                        pause = FIRST_PAUSE
                await trio.sleep(random.uniform(pause / 2, pause))
                pause = min(pause * 1.5, LONGEST_PAUSE)

    async def _use(self, stream: trio.abc.Stream, host: str) -> None:
        """Use a connection until it is lost, and always raise why."""
        link = self._link = Link(stream, self._settings, self)
        lost = EngineLost("the connection ended")
        connects = self.connects
        try:
            async with trio.open_nursery() as nursery:
                resent = await nursery.start(link.run, self._address)
                self._come_up(host, resent)
        except* EngineLost as group:
            lost = first_of(group)
            # An engine that took everything, or that died meanwhile, is there again soon; one that refuses
            # something will do so the next time, too.
            refused = isinstance(lost, EngineRefused)
            lost.spoke = self.connects > connects or (link.takes and not refused)
        finally:
            self._link = None
            for log in self.logs.values():
                log.feed.lose()
        raise lost

    def _come_up(self, host: str, resent: int) -> None:
        """Read all rooms on, now that the engine has everything it should have from here."""
        assert self._link is not None
        now = trio.current_time()
        away = 0.0 if self._away_since is None else now - self._away_since
        shared = {"never_shared": self.outgoing.never_shared} if self.alone else {}
        self.troubles.lines.log(logging.INFO, "engine-up", host=host, away=away, resent=resent, **shared)
        self._away_since = None
        self.troubles.over()
        self.connects += 1
        self.alone = self.is_down = False
        self._link.follow(self.logs.values())
        self._wake()

    def _lost(self, host: str, why: str) -> None:
        """Take notice that the engine is away."""
        if self._away_since is None:
            self._away_since = trio.current_time()
        self.troubles.lost(host, why)

    async def _keep_time(self) -> None:
        """Give the engine up when it has been away too long; read rooms in which nothing comes."""
        checked = trio.current_time()
        while True:
            await trio.sleep(LOOK)
            now = trio.current_time()
            if self._away_since is not None:
                if not self.is_down and now >= self._away_since + self.patience:
                    self._give_up()
            elif self._link is not None:
                self.outgoing.forget(self._link.heard_at)
                if now >= checked + CHECK_SECONDS:
                    checked = now
                    quiet = [log for log in self.logs.values() if log.feed.state is State.LEVEL]
                    for log in quiet:
                        log.feed.state = State.READING
                    self._link.read(quiet)

    def _give_up(self) -> None:
        """Do what the policy says, now that the engine has been away too long."""
        self.is_down = True
        policy = self._settings.when_engine_down
        self.troubles.lines.log(logging.ERROR, "engine-down", after=self.patience, when_engine_down=policy)
        if policy == "local":
            self.alone = True
            for log in list(self.logs.values()):
                log.feed.go_alone()
            self._wake()

    def _wake(self) -> None:
        """Let those who wait look again."""
        self._admit()
        for log in list(self.logs.values()):
            log.wake()

    async def drain(self) -> None:
        """Wait until the engine has everything that was appended."""
        while len(self.outgoing):  # noqa: ASYNC110 - asked once, at the end: not worth an event
            await trio.sleep(0.01)

    async def leave(self) -> None:
        """Let the other nodes know that nobody is here any more."""
        if self.presences is not None:
            await self.presences.leave()

    # What is asked about it.

    @property
    def is_up(self) -> bool:
        """Whether it takes what is appended, and rooms are read."""
        return self._link is not None and self._link.is_up

    @property
    def is_ready(self) -> bool:
        """Whether clients get what they expect: the engine is there, was lately, or can be done without."""
        return self._settings.when_engine_down == "local" or not self.is_down

    def figures(self) -> LogFigures:
        """Return what there is to say of it, for metrics."""
        feeds = [log.feed for log in self.logs.values()]
        return LogFigures(
            is_up=self.is_up,
            is_down=self.is_down,
            connects=self.connects,
            round_trip=0.0 if self._link is None else self._link.round_trip,
            unconfirmed_bytes=self.outgoing.bytes,
            resent=self.outgoing.resent,
            known=self._known + sum(feed.known for feed in feeds),
            missed=self._missed + sum(feed.trimmed for feed in feeds),
            epochs=self._epochs + sum(feed.epochs for feed in feeds),
            behind=sum(feed.state is State.BEHIND for feed in feeds),
            never_shared=self.outgoing.never_shared,
        )
