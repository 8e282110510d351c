"""
Which rooms the engine may hold something of a node in, by what the engine itself says.

An engine that takes up an older state, after a restart or a failover, holds again what the node has removed
since, of rooms that the node knows nothing of any more. Nobody else would remove it: the node lives. So the
engine keeps a list of those rooms that is as old as what it holds of them, and over every new connection the
node reads it. A room is put on it before something is written of it, and taken off after that was removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trioecho.engine.connection import Connection
from trioecho.engine.presence_scripts import index_key

__all__ = ["PresenceIndex", "ignore"]

PAGE = 1000
"""So many rooms are read at a time; each has a name of 255 bytes at most."""


class PresenceIndex:
    """The index of ``node``, which expires ``kept_seconds`` after the last :meth:`add` or :meth:`renew`."""

    def __init__(self, prefix: str, node: bytes, kept_seconds: int) -> None:
        self._key = index_key(prefix, node)
        self._kept = b"%d" % kept_seconds

    def add(self, connection: Connection, room: str) -> None:
        """Put a room on it."""
        connection.send(b"ZADD", self._key, b"0", room.encode(), then=ignore)
        self.renew(connection)  # it may be the first

    def remove(self, connection: Connection, room: str) -> None:
        """Take a room off it."""
        connection.send(b"ZREM", self._key, room.encode(), then=ignore)

    def renew(self, connection: Connection) -> None:
        """Keep it from expiring."""
        connection.send(b"EXPIRE", self._key, self._kept, then=ignore)

    def clear(self, connection: Connection) -> None:
        """Remove all of it."""
        connection.send(b"DEL", self._key, then=ignore)

    def read(self, connection: Connection, found: Callable[[Connection, str], None]) -> None:
        """Read all of it, some rooms at a time, and give each to ``found``."""

        def take(names: Any) -> None:
            for name in names:
                try:
                    room = name.decode()
                except UnicodeDecodeError:
                    continue  # it is from somebody else
                found(connection, room)
            if len(names) == PAGE:
                read(b"(" + names[-1])

        def read(after: bytes) -> None:
            words = after, b"+", b"BYLEX", b"LIMIT", b"0", b"%d" % PAGE
            connection.send(b"ZRANGE", self._key, *words, then=take)

        read(b"-")


def ignore(reply: Any) -> None:
    """Do nothing with a reply that says nothing."""
