"""Reading who is in rooms on other nodes, a few at a time: what the engine has to say to one is bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from trioecho.engine.connection import Connection
from trioecho.engine.presence_scripts import READ
from trioecho.rooms.presence import MOST_NAMES

__all__ = ["PresenceReader"]

READS = 8
"""So many rooms are read at a time; each has at most a thousand names of some letters."""

Then = Callable[[Any], None]
Wanted = Callable[[], bool]


class PresenceReader:
    """Reads who is in rooms on other nodes than ``node`` over ``connection``, each in its turn."""

    def __init__(self, node: bytes) -> None:
        self._node = node
        self._connection: Connection | None = None
        self._line: deque[tuple[bytes, Then, Wanted]] = deque()
        self._reading = 0

    @property
    def connection(self) -> Connection | None:
        """Where from; what was to be read over one that is lost is not read over the next."""
        return self._connection

    @connection.setter
    def connection(self, connection: Connection | None) -> None:
        self._connection = connection
        self._line.clear()
        self._reading = 0

    def read(self, key: bytes, then: Then, wanted: Wanted) -> None:
        """Read the room of this key, if that is ``wanted`` in its turn, and give the reply to ``then``."""
        self._line.append((key, then, wanted))
        self._read_more()

    def _read_more(self) -> None:
        while self._line and self._reading < READS and self._connection is not None:
            key, then, wanted = self._line.popleft()
            if not wanted():
                continue
            self._reading += 1
            words = b"EVALSHA", READ, b"1", key, b"%d" % MOST_NAMES, self._node
            self._connection.send(*words, then=partial(self._answered, then))

    def _answered(self, then: Then, reply: Any) -> None:
        self._reading -= 1
        then(reply)
        self._read_more()
