"""The states of a client that reconnects by itself, as ``on_change`` is told of them."""

from __future__ import annotations

from dataclasses import dataclass

from trioecho.client.errors import ClientError

__all__ = ["Change", "Connected", "Missed", "Reconnecting"]


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is open. ``downtime``: how long there was none before (seconds); 0 the first time."""

    downtime: float


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """
    There is no connection; the next attempt comes in ``delay`` seconds.

    ``error`` says why, ``attempt`` is the number of that attempt since the last good connection, from 1.
    """

    error: ClientError
    attempt: int
    delay: float


@dataclass(frozen=True, slots=True)
class Missed:
    """
    The server says that messages are missing here: ``count`` of them, or ``None``: nobody knows how many.

    It is told ahead of the messages that come after those. The state stays what it was.
    """

    count: int | None


Change = Connected | Reconnecting | Missed
