"""A room's log: what stands between one room and the engine that keeps its log."""

from __future__ import annotations

from typing import Protocol

import trio

from trioecho.engine.feed import Feed
from trioecho.rooms.batch import Batch
from trioecho.rooms.log import LogReader

__all__ = ["Node", "RoomLog"]

MOST_BYTES = 4 * 2**20
"""How much of a node's own may be on its way back to one room (bytes); beyond it publishers wait. A room
without space lets nothing come back, so its publishers are slowed down as in any room."""


class Node(Protocol):
    """What a room's log asks of the engine."""

    alone: bool

    @property
    def is_full(self) -> bool:
        """Whether publishers have to wait, whatever their room."""

    async def wait_space(self) -> None:
        """Wait until that may have changed."""

    def add(self, room: str, batch: Batch) -> int:
        """Append a batch, and return its number."""

    def read(self, log: RoomLog) -> None:
        """Read on."""

    def forget(self, log: RoomLog) -> None:
        """Read no more."""


class RoomLog:
    """
    The log of ``room``.

    Attributes:
        key: the name of its stream and channel.
        meta: the name of its hash.
        feed: what is read from it.
        closed: whether nobody reads it any more.

    """

    def __init__(
        self, engine: Node, room: LogReader, feed: Feed, keys: tuple[bytes, bytes], most: int
    ) -> None:
        self.key, self.meta = keys
        self.feed = feed
        self.closed = False
        self._engine = engine
        self._room = room
        self._most = min(MOST_BYTES, most)
        self._line = trio.lowlevel.ParkingLot()

    async def append(self, batch: Batch) -> bool:
        """Append a batch, in its turn; a checkpoint only if it has to wait."""
        engine = self._engine
        try:
            if self._line:
                await self._line.park()
            while not self.closed:
                if engine.is_full:
                    await engine.wait_space()
                elif not self.has_space:
                    await self._line.park()
                else:
                    self._append(batch)
                    return True
            return False
        finally:
            self._admit()

    def append_nowait(self, batch: Batch) -> bool:
        """Append a batch, and return whether it was taken; raises ``trio.WouldBlock`` if it has to wait."""
        if self.closed:
            return False
        if self._line or self._engine.is_full or not self.has_space:
            raise trio.WouldBlock
        self._append(batch)
        return True

    def _append(self, batch: Batch) -> None:
        number = self._engine.add(self._room.name, batch)
        if self._engine.alone:
            self.feed.said(number)
            self._room.deliver(batch)
        else:
            self.feed.expect(number, batch)

    def _admit(self) -> None:
        """Let the next in the line look whether there is space for it."""
        if self._line and (self.closed or self.has_space):
            self._line.unpark()

    @property
    def has_space(self) -> bool:
        """Whether a publisher need not wait for this room."""
        return self._room.has_space if self._engine.alone else self.feed.pending < self._most

    def wake(self) -> None:
        """Let those in the line look again: something has changed."""
        self._admit()

    async def wait_returned(self) -> None:
        """Wait until everything has come back that was appended so far."""
        if self._line and not self.closed:
            await self._line.park()
            self._admit()
        mark = self.feed.mark()
        if mark is None:
            await trio.lowlevel.checkpoint()
        else:
            await mark.wait()

    @property
    def idle(self) -> bool:
        """Whether everything has come back, and nobody waits to bring more."""
        return self.closed or not (self._line or self.feed.pending)

    def on_space(self) -> None:
        """Read on, if the room had no space."""
        if self.feed.on_space():
            self._engine.read(self)
        self._admit()

    def close(self) -> None:
        """Read no more, and let everybody go who waits."""
        if not self.closed:
            self.closed = True
            self._engine.forget(self)
            self.feed.release()
            self._line.unpark_all()
