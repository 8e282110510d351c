"""What all connections of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from trioecho.access.address_limits import AddressLimits
from trioecho.line_limiter import LineLimiter
from trioecho.rooms.registry import Registry
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.compressing import Compressing
from trioecho.sessions.expiry import Expiry
from trioecho.sessions.hooks import Hooks
from trioecho.sessions.inbound import Inbound
from trioecho.sessions.keepalive import Keepalive
from trioecho.settings import Settings
from trioecho.transport.turns import Turns

__all__ = ["ServerState"]


@dataclass(slots=True, eq=False)
class ServerState:
    """
    One server's surroundings. There is one of it for each server, never a copy.

    Attributes:
        hub: its rooms.
        settings: its options, with those of its hub.
        hooks: what it asks the application.
        keepalive: who is pinged.
        compressing: with whom compression is agreed on.
        inbound: what a message passes before it is published.
        addresses: what each address may do, and has done.
        nursery: where the tasks of clients run; each has an error boundary of its own.
        turns: the line of those who bring much work.
        connections: all of them, which is what ``max_connections`` counts.
        expiry: whose rights end, and when.
        lines: what logs what strangers cause.
        draining: whether nothing more is taken from clients, because the server or its hub shuts down.
        stopping: whether the server is shutting down, and takes no new clients.

    """

    hub: Registry
    settings: Settings
    hooks: Hooks
    keepalive: Keepalive
    inbound: Inbound
    compressing: Compressing
    addresses: AddressLimits
    nursery: trio.Nursery
    turns: Turns = field(default_factory=Turns)
    connections: set[BaseConnection] = field(default_factory=set)
    expiry: Expiry = field(default_factory=Expiry)
    lines: LineLimiter = field(default_factory=LineLimiter)
    stopping: bool = False
    _draining: bool = False

    @property
    def draining(self) -> bool:
        """Whether nothing more is taken from clients."""
        return self._draining or self.hub.draining

    @draining.setter
    def draining(self, draining: bool) -> None:
        self._draining = draining
