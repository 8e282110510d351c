"""
The histories of a server's rooms: what all of them may hold, and what becomes of one when everybody leaves.

A room ends when nobody is in it; its history stays for ``history_age``, because those who left may be in a
tunnel. What is published meanwhile goes straight to the history, and so does what is published in a room
that nobody has been in yet. Both are bounded in number (``max_rooms``), and rooms that somebody was in go
last: a program that publishes in thousands of rooms must not make those forget that are needed.
"""

from __future__ import annotations

from collections import OrderedDict

import trio

from trioecho.rooms.batch import Batch
from trioecho.rooms.history import History
from trioecho.settings import Settings

__all__ = ["Histories"]


class Histories:
    """
    All histories of one server.

    Attributes:
        cost: what all kept messages cost to hold (bytes).
        limit: what they may cost: ``history_total``.

    """

    def __init__(self, settings: Settings) -> None:
        self.cost = 0
        self.limit = settings.history_total
        self._settings = settings
        # Those that hold messages, in the order in which they are to forget some.
        self._holding: OrderedDict[History, None] = OrderedDict()
        # Of rooms in which nobody is, by name, in the order in which they are to be forgotten.
        self._left: OrderedDict[str, History] = OrderedDict()
        self._unvisited: OrderedDict[str, History] = OrderedDict()
        self._something = trio.Event()

    def open(self, room: str) -> History:
        """Return the history of a room that somebody enters: its own, or a new one."""
        self._forget_rooms()
        history = self._left.pop(room, None) or self._unvisited.pop(room, None)
        return History(self._settings, self) if history is None else history

    def close(self, room: str, history: History) -> None:
        """Keep the history of a room in which nobody is any more."""
        self._touch(self._left, room, history)

    def get(self, room: str) -> History | None:
        """Return the history of a room in which nobody is, if it is remembered."""
        self._forget_rooms()
        return self._left.get(room) or self._unvisited.get(room)

    def publish(self, room: str, batch: Batch) -> None:
        """Remember what is published in a room in which nobody is."""
        history = self.get(room)
        if history is None:
            if not self._settings.history:
                return
            history = History(self._settings, self)
        history.add(batch)
        self._touch(self._left if room in self._left else self._unvisited, room, history)

    def _touch(self, rooms: OrderedDict[str, History], room: str, history: History) -> None:
        history.touched = trio.current_time()
        rooms[room] = history
        rooms.move_to_end(room)
        while len(self._left) + len(self._unvisited) > self._settings.max_rooms:
            self.drop((self._unvisited or self._left).popitem(last=False)[1])
        self._something.set()

    def _forget_rooms(self) -> None:
        """Forget the rooms that everybody left long ago."""
        until = trio.current_time() - self._settings.history_age
        for rooms in (self._left, self._unvisited):
            while rooms and next(iter(rooms.values())).touched < until:
                self.drop(rooms.popitem(last=False)[1])

    def drop(self, history: History) -> None:
        """Forget a history altogether: whoever enters its room next begins a new count."""
        history.clear()
        self._holding.pop(history, None)

    def hold(self, history: History) -> None:
        """Take notice that a history holds messages."""
        self._holding[history] = None
        self._something.set()

    def forget(self) -> None:
        """Have histories forget their oldest messages in turn, until all are within the limit."""
        while self.cost > self.limit:
            history = next(iter(self._holding))
            history.forget_oldest()
            if history.cost:
                self._holding.move_to_end(history)
            else:
                del self._holding[history]

    async def run(self) -> None:
        """
        Forget what is old also where nobody asks for it, until cancelled.

        Nobody is ever given what is older than ``history_age``; its memory is free after twice that.
        """
        while True:
            await self._something.wait()
            await trio.sleep(self._settings.history_age)
            self._forget_rooms()
            for number, history in enumerate(tuple(self._holding)):
                history.forget_old()
                if not history.cost:
                    self._holding.pop(history, None)
                if number % ROOMS_A_TURN == ROOMS_A_TURN - 1:
                    await trio.lowlevel.checkpoint()
            if not self._holding and not self._left and not self._unvisited:
                self._something = trio.Event()


ROOMS_A_TURN = 500
"""After so many rooms, other tasks run."""
