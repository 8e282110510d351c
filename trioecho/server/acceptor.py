"""The acceptor: where connections come in, and how many at a time."""

from __future__ import annotations

import errno
import math

import trio

from trioecho.access.address_limits import AddressLimits
from trioecho.log import logger
from trioecho.server.connection import Connection, serve_connection
from trioecho.server.entrance import Entrance
from trioecho.server.refusals import Refusals
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.state import ServerState
from trioecho.system_errors import reason_of
from trioecho.transport.closing import close_now
from trioecho.transport.intake import Intake
from trioecho.transport.peer import address_of
from trioecho.web.site import Site

__all__ = ["Acceptor"]

OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What ``accept`` says when the system cannot take one more connection just now."""

RETRY_ACCEPT = 0.1
"""How long to wait before trying again then (seconds)."""

QUIET = 60.0
"""A lack of files is another one, and logged again, if there has been none for so long (seconds)."""

MAX_OVER_LIMIT = 100
"""Connections over the limit that are answered at one time; more than that are just closed."""


class Acceptor:
    """
    Accepts connections and serves each in a task of ``nursery``: ``limit`` at a time by ``site``.

    A few more are told by ``over_limit`` that they are too many; those beyond are closed. Those of an address
    that is over one of its ``limits`` are refused before anything is read from them.
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
        limits: AddressLimits | None = None,
    ) -> None:
        self._state = state
        self._nursery = nursery
        self._connections = connections
        self._site = site
        self._over_limit = over_limit
        self._limit = limit
        self._entrance = entrance or Entrance()
        self._over: set[BaseConnection] = set()
        self._limits = limits
        self._refusals = Refusals(state, nursery)

    async def accept_from(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        """
        Accept connections until cancelled; the listener is closed then.

        While the system has none to give, it waits for others to end. That is logged once, however often one
        ends and the next connection takes its file.
        """
        async with listener:
            intake = Intake(listener)
            try:
                await self._accept_all(intake)
            finally:
                intake.release()

    async def _accept_all(self, intake: Intake) -> None:
        short = -math.inf
        while True:
            try:
                streams = await intake.accept()
            except OSError as error:
                if error.errno not in OUT_OF_FILES:
                    raise
                now = trio.current_time()
                if now - short > QUIET:
                    logger.error(
                        "no more connections can be accepted just now: %s; raise the limit on open files"
                        " (ulimit -n) or lower max_connections",
                        reason_of(error),
                    )
                short = now
                await trio.sleep(RETRY_ACCEPT)
            else:
                for stream in streams:
                    self._admit(stream)

    def _admit(self, stream: trio.abc.Stream) -> None:
        """Start the task of a new connection, or close it if there are far too many."""
        place = None if self._limits is None else self._limits.place()
        if place is not None and (over := place.take(address_of(stream).host)) is not None:
            self._refusals.refuse(stream, over, answered=not self._entrance.wraps(stream))
            return
        over_limit = len(self._connections) >= self._limit
        connections = self._over if over_limit else self._connections
        if over_limit and len(connections) >= MAX_OVER_LIMIT:
            self._state.hub.counters.refused["overload"] += 1
            if place is not None:
                place.release()
            self._nursery.start_soon(close_now, stream)
            return
        site = self._over_limit if over_limit else self._site
        connection = Connection(
            self._state,
            site,
            stream,
            connections,
            over_limit=over_limit,
            entrance=self._entrance,
            place=place,
        )
        connections.add(connection)
        self._nursery.start_soon(serve_connection, connection)
