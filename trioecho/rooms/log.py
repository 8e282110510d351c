"""
A room's log, as the room sees it: what makes one room of the rooms of several servers.

A room with a log does not fan out what is published in it. It appends it to the log, and fans out what
comes back: everything, from all servers, in one order. Who keeps the log is not the room's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import trio

from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.elsewhere import Presences
from trioecho.rooms.place import Place

__all__ = ["Answers", "EndedLog", "Jump", "Log", "LogReader", "Logs", "Remembered"]


class Remembered(NamedTuple):
    """Messages of the past: how many came before them, how many they are, and how old (seconds)."""

    offset: int
    messages: int
    frames: bytes
    age: float


class Jump(Batch):
    """
    Where a room's messages do not go on where they ended: the next come after ``place``.

    ``missed`` messages are missing here (``None``: nobody knows how many). It waits among the batches, in its
    order, and has no messages.
    """

    __slots__ = ("missed", "place")

    def __init__(self, place: Place, missed: int | None) -> None:
        super().__init__(Origin.KNOWN, b"", 0)
        self.place = place
        self.missed = missed


class LogReader(Protocol):
    """A room, as its log sees it. None of these waits."""

    name: str

    def opened(self, place: Place, past: Sequence[Remembered]) -> None:
        """Take notice of where the room is, and of what was said last before that."""

    def deliver(self, batch: Batch) -> bool:
        """Take what comes next, and return whether there is space for more."""

    @property
    def has_space(self) -> bool:
        """Whether it takes more."""


class Log(Protocol):
    """The log of one room."""

    async def append(self, batch: Batch) -> bool:
        """
        Hand over a batch, and return whether it was taken; it comes back by :meth:`LogReader.deliver`.

        Waits while too much is on its way. If cancelled, it was not taken.
        """

    def append_nowait(self, batch: Batch) -> bool:
        """
        Hand over a batch without waiting, and return whether it was taken.

        Raises:
            trio.WouldBlock: it would have to wait.

        """

    async def wait_returned(self) -> None:
        """Wait until everything has come back that this server has appended so far."""

    @property
    def idle(self) -> bool:
        """Whether everything has come back that this server has appended."""

    def on_space(self) -> None:
        """Take notice that the room has space again."""

    def close(self) -> None:
        """Read no more; what was appended is still kept for the others."""


class EndedLog:
    """
    The log of a room that has ended: it takes nothing, and nothing comes from it.

    A room puts it in the place of its own, which knows the room: else the two would wait for the garbage
    collector to be freed.
    """

    idle = True

    async def append(self, batch: Batch) -> bool:
        """Take nothing."""
        await trio.lowlevel.checkpoint()
        return False

    def append_nowait(self, batch: Batch) -> bool:
        """Take nothing."""
        return False

    async def wait_returned(self) -> None:
        """Wait for nothing."""
        await trio.lowlevel.checkpoint()

    def on_space(self) -> None:
        """Read nothing."""

    def close(self) -> None:
        """Do nothing."""


class LogFigures(NamedTuple):
    """What a node has counted of its logs, and how they are now."""

    is_up: bool
    is_down: bool
    connects: int
    round_trip: float
    unconfirmed_bytes: int
    resent: int
    known: int
    missed: int
    epochs: int
    behind: int
    never_shared: int


class Answers(Protocol):
    """What is answered to somebody who asks all servers how they are."""

    async def run(self, work: Callable[[], Awaitable[bytes]]) -> None:
        """Answer with what ``work`` returns, until cancelled."""


class Logs(Protocol):
    """Who keeps the logs of all rooms."""

    @property
    def answers(self) -> Answers:
        """What answers who asks all servers."""

    patience: float
    """How long a room may wait to be opened (seconds)."""

    @property
    def presences(self) -> Presences | None:
        """What shares who is in the rooms, if anything does."""

    def open(self, room: LogReader) -> Log:
        """Begin to read the log of a room."""

    async def publish(self, room: str, batch: Batch) -> None:
        """Append a batch to the log of a room in which nobody is here; waits while too much is on its way."""

    def publish_nowait(self, room: str, batch: Batch) -> None:
        """
        Do as :meth:`publish`, without waiting.

        Raises:
            trio.WouldBlock: too much is on its way.

        """

    async def run(self) -> None:
        """Keep the logs, until cancelled."""

    async def drain(self) -> None:
        """Wait until everything that was appended is where it belongs."""

    async def leave(self) -> None:
        """Let the other servers know that nobody is here any more."""

    @property
    def is_ready(self) -> bool:
        """Whether clients get what they expect."""

    def figures(self) -> LogFigures:
        """Return what there is to say of it, for metrics."""
