"""What a client that comes back by itself tells of its state."""

from __future__ import annotations

from dataclasses import dataclass

from trioecho.client.errors import ClientError

__all__ = ["Away", "Change", "Connected"]


@dataclass(frozen=True, slots=True)
class Connected:
    """The connection is open. ``away``: how long there was none before (seconds); 0 the first time."""

    away: float


@dataclass(frozen=True, slots=True)
class Away:
    """
    There is no connection; the next attempt comes in ``delay`` seconds.

    ``error`` tells why, ``attempt`` is the number of that attempt since the last good connection, from 1.
    """

    error: ClientError
    attempt: int
    delay: float


Change = Connected | Away
