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

    title: ClassVar[str] = "Limits"

    max_message_size: Annotated[int, Size("Largest message taken from a client.", high=GIB)] = MIB
    """
    The largest message taken from a client, in bytes of payload; a larger one ends the client with close
    code 1009. 1 MiB is what most WebSocket servers use.
    """

    max_memory: Annotated[
        int,
        Size(
            "Bytes held for all clients together; beyond it the most behind are disconnected. 0: any number.",
            low=0,
            high=1024 * GIB,
        ),
    ] = 512 * MIB
    """
    What is held for all clients together, because they do not keep up or do not finish: what waits in
    outboxes (what several wait for counts once), messages and request bodies that are not complete. Beyond it
    the clients for which most is held are disconnected, with 1013. At least ``max_message_size``. 512 MiB is
    128 clients that are 4 MiB behind, each with messages of its own, and fits a machine of 1 GiB beside ten
    thousand connections. 0: any number.
    """

    max_connections: Annotated[int, Whole("Connections at one time.")] = 10_000
    """Connections at one time, those in their handshake included; one more is answered 503."""

    max_rooms: Annotated[int, Whole("Rooms at one time; a room is a URL's path.")] = 1_000
    """Rooms at one time; a client who would open one more is answered 503."""

    message_timeout: Annotated[
        float,
        Seconds(
            "How long a message may take from its first byte to its last; 0: any time.", off=True, low=0.01
        ),
    ] = 60.0
    """
    How long a message may take to arrive, from its first byte to its last: a client whose message is not
    complete by then is disconnected with 1008, at most an eighth of that time later, and a POST whose body is
    not is answered 408. Time in which the client is not read from does not count. A minute is enough for
    1 MiB at 150 kbit/s. 0: any time.
    """

    handshake_timeout: Annotated[
        float, Seconds("How long a client may take to send its request.", low=0.01)
    ] = 10.0
    """From the connection to the end of its request head; a client that dribbles is answered 408."""
