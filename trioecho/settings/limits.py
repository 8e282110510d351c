"""Limits: how much of everything a server takes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.limits import GIB, MIB
from trioecho.option_kinds import Seconds, Size, Whole
from trioecho.options import Group

__all__ = ["Limits"]


@dataclass(frozen=True, kw_only=True)
class Limits(Group):
    """Limits."""

    title: ClassVar = "Limits"

    max_message_size: Annotated[int, Size("Largest message taken from a client.", high=GIB)] = MIB
    """
    The largest message taken from a client, in bytes of payload; a larger one ends the client with close
    code 1009. 1 MiB is what most WebSocket servers use.
    """

    max_connections: Annotated[int, Whole("Connections at one time.")] = 10_000
    """Connections at one time, those in their handshake included; one more is answered 503."""

    max_rooms: Annotated[int, Whole("Rooms at one time; a room is a URL's path.")] = 1_000
    """Rooms at one time; a client who would open one more is answered 503."""

    handshake_timeout: Annotated[
        float, Seconds("How long a client may take to send its request.", low=0.01)
    ] = 10.0
    """From the connection to the end of its request head; a client that dribbles is answered 408."""
