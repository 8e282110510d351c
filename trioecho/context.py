"""
What all connections of one server share.

Floor 5: imports ``hub``, ``keepalive`` and below.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import trio

from trioecho.disconnect import Disconnect
from trioecho.hub import Hub
from trioecho.keepalive import Keepalive

__all__ = ["Context"]


class Ending(Protocol):
    """A connection, before or after it became a client."""

    def end(self, why: Disconnect) -> None:
        """End it, without waiting."""


@dataclass(slots=True, eq=False)
class Context:
    """
    One server's surroundings.

    Attributes:
        hub: its rooms.
        keepalive: who is pinged.
        nursery: where the tasks of clients run; each has an error boundary of its own.
        connections: all of them, which is what ``max_connections`` counts.

    """

    hub: Hub
    keepalive: Keepalive
    nursery: trio.Nursery
    connections: set[Ending] = field(default_factory=set)
