"""What all connections of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Protocol, cast

import trio

from trioecho.disconnect import Disconnect
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.registry import Registry
from trioecho.sessions.keepalive import Keepalive

__all__ = ["ServerState"]


class Ending(Protocol):
    """A connection, before or after it became a client."""

    kind: ClassVar[str]
    """What it is: ``http`` before, then ``websocket`` or ``events``."""

    def disconnect(self, why: Disconnect) -> None:
        """End it, without waiting."""


class Client(Ending, Protocol):
    """A connection that has become a client."""

    outbox: Outbox
    messages_in: int

    @property
    def sent(self) -> int:
        """Messages handed to the network for it."""


@dataclass(slots=True, eq=False)
class ServerState:
    """
    One server's surroundings.

    Attributes:
        hub: its rooms.
        keepalive: who is pinged.
        nursery: where the tasks of clients run; each has an error boundary of its own.
        connections: all of them, which is what ``max_connections`` counts.
        stopping: whether the server is shutting down.

    """

    hub: Registry
    keepalive: Keepalive
    nursery: trio.Nursery
    connections: set[Ending] = field(default_factory=set)
    stopping: bool = False

    @property
    def clients(self) -> list[Client]:
        """The connections that have become clients."""
        return [cast(Client, connection) for connection in self.connections if connection.kind != "http"]
