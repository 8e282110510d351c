"""Options of a connection's life and of the server's end: keepalive and shutdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.option_kinds import Seconds
from trioecho.options import Group

__all__ = ["Lifetime"]


@dataclass(frozen=True, kw_only=True)
class Lifetime(Group):
    """Keepalive and shutdown."""

    title: ClassVar[str] = "Keepalive and shutdown"

    ping_interval: Annotated[
        float, Seconds("Time between pings to a client; 0 turns pings off.", low=0.01, off=True)
    ] = 20.0
    """A ping is sent this often; 0 turns pings off. 20 s keeps most proxies (60 s) from hanging up."""

    ping_timeout: Annotated[
        float,
        Seconds(
            "How long a client may give no sign of life after a ping; 0 turns pings off.", low=0.01, off=True
        ),
    ] = 20.0
    """A client that gives no sign of life for so long after a ping is dead; 0 turns pings off."""

    shutdown_timeout: Annotated[
        float, Seconds("How long a graceful shutdown may take; connections still open then are aborted.")
    ] = 10.0
    """How long a graceful shutdown may take; connections still open then are aborted."""

    drain: Annotated[
        float,
        Seconds("Spread the closing of clients over this time when the server shuts down; 0: all at once."),
    ] = 0.0
    """
    At a shutdown, the time over which the clients are closed one after another (with 1012, service restart),
    so that they do not all reconnect in the same second. The rooms go on meanwhile; new requests are answered
    503 with ``Retry-After``, and so is ``/readyz``. ``shutdown_timeout`` begins afterwards. 0: all clients
    are closed at once, with 1001.
    """

    @property
    def pings(self) -> bool:
        """Whether keepalive pings are sent."""
        return bool(self.ping_interval and self.ping_timeout)
