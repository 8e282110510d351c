"""What all connections of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from trioecho.line_limiter import LineLimiter
from trioecho.rooms.registry import Registry
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.expiry import Expiry
from trioecho.sessions.inbound import Inbound
from trioecho.sessions.keepalive import Keepalive
from trioecho.transport.turns import Turns

__all__ = ["ServerState"]


@dataclass(slots=True, eq=False)
class ServerState:
    """
    One server's surroundings. There is one of it for each server, never a copy.

    Attributes:
        hub: its rooms.
        keepalive: who is pinged.
        inbound: what a message passes before it is published.
        nursery: where the tasks of clients run; each has an error boundary of its own.
        turns: the line of those who bring much work.
        connections: all of them, which is what ``max_connections`` counts.
        expiry: whose rights end, and when.
        lines: what logs what strangers cause.
        stopping: whether the server is shutting down.

    """

    hub: Registry
    keepalive: Keepalive
    inbound: Inbound
    nursery: trio.Nursery
    turns: Turns = field(default_factory=Turns)
    connections: set[BaseConnection] = field(default_factory=set)
    expiry: Expiry = field(default_factory=Expiry)
    lines: LineLimiter = field(default_factory=LineLimiter)
    stopping: bool = False
