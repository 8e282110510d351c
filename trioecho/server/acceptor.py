"""The acceptor: where connections come in, and how many at a time."""

from __future__ import annotations

import errno

import trio

from trioecho.log import logger
from trioecho.server.connection import Connection, serve_connection
from trioecho.server.entrance import Entrance
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.state import ServerState
from trioecho.transport.socket_stream import unlayered
from trioecho.web.site import Site

__all__ = ["Acceptor"]

OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What ``accept`` says when the system cannot take one more connection just now."""

RETRY_ACCEPT = 0.1
"""How long to wait before trying again then (seconds)."""

MAX_OVER_LIMIT = 100
"""Connections over the limit that are answered at one time; more than that are just closed."""


class Acceptor:
    """
    Accepts connections and serves each in a task of ``nursery``: ``limit`` at a time by ``site``.

    A few more are told by ``over_limit`` that they are too many; those beyond are closed.
    """

    def __init__(
        self,
        state: ServerState,
        nursery: trio.Nursery,
        connections: set[BaseConnection],
        *,
        site: Site,
        over_limit: Site,
        limit: int,
        entrance: Entrance | None = None,
    ) -> None:
        self._state = state
        self._nursery = nursery
        self._connections = connections
        self._site = site
        self._over_limit = over_limit
        self._limit = limit
        self._entrance = entrance or Entrance()
        self._over: set[BaseConnection] = set()

    async def accept_from(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        """Accept connections until cancelled; the listener is closed then."""
        short = False
        async with listener:
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in OUT_OF_FILES:
                        raise
                    if not short:
                        logger.error(
                            "no more connections can be accepted just now: %s; raise the limit on open files"
                            " (ulimit -n) or lower max_connections",
                            error.strerror,
                        )
                    short = True
                    await trio.sleep(RETRY_ACCEPT)
                else:
                    short = False
                    self._admit(stream)

    def _admit(self, stream: trio.abc.Stream) -> None:
        """Start the task of a new connection, or close it if there are far too many."""
        stream = unlayered(stream)
        over_limit = len(self._connections) >= self._limit
        connections = self._over if over_limit else self._connections
        if over_limit and len(connections) >= MAX_OVER_LIMIT:
            self._state.hub.counters.refused["overload"] += 1
            self._nursery.start_soon(trio.aclose_forcefully, stream)
            return
        site = self._over_limit if over_limit else self._site
        connection = Connection(
            self._state, site, stream, connections, over_limit=over_limit, entrance=self._entrance
        )
        connections.add(connection)
        self._nursery.start_soon(serve_connection, connection)
