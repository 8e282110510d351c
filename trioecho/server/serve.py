"""
The server: listen, admit, shut down.

The nursery tree is the design. Shutdown is the order of its parts: the accepting nursery goes first, the
rooms deliver what they have taken, and the nursery of all clients has a deadline.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Unpack

import trio

from trioecho.counters import Counters
from trioecho.disconnect import CUT, SHUTDOWN
from trioecho.log import log_event, logger
from trioecho.options import OptionError
from trioecho.rooms.hub import Hub
from trioecho.server.connection import Connection
from trioecho.server.listening import log_listening
from trioecho.sessions.keepalive import Keepalive
from trioecho.sessions.state import ServerState
from trioecho.settings import Options, Settings
from trioecho.transport.listeners import address_of, open_listeners, split_address, url_of
from trioecho.transport.socket_stream import unlayered
from trioecho.web.monitoring import monitoring_pages
from trioecho.web.page import load_page
from trioecho.web.site import TOO_MANY_CONNECTIONS, Handler, Pages, Rooms, Site

__all__ = ["Server", "serve"]

OUT_OF_FILES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""What ``accept`` says when the system cannot take one more connection just now."""

RETRY_ACCEPT = 0.1
"""How long to wait before trying again then (seconds)."""

BUSY_REFUSALS = 100
"""Connections over the limit that are told so at one time; more than that are just closed."""

MACHINE_CONNECTIONS = 100
"""Connections at one time on the address for machines: a handful of them each keep one or two."""

Listeners = Sequence[trio.abc.Listener[trio.abc.Stream]]


class Server:
    """
    A running server, as ``nursery.start(serve)`` returns it.

    Attributes:
        hub: its rooms: publish and subscribe from the application.
        urls: an address for each listener, as a client takes it.
        metrics_urls: likewise for the machine addresses, if they are on a port of their own.

    """

    def __init__(
        self, hub: Hub, urls: tuple[str, ...], metrics_urls: tuple[str, ...], stopped: trio.Event
    ) -> None:
        self.hub = hub
        self.urls = urls
        self.metrics_urls = metrics_urls
        self._stopping = trio.Event()
        self._stopped = stopped

    @property
    def url(self) -> str:
        """The first of :attr:`urls`."""
        return self.urls[0]

    @property
    def counters(self) -> Counters:
        """What the server has counted."""
        return self.hub.counters

    async def shutdown(self) -> None:
        """
        Shut down gracefully and wait until that is done; ``serve()`` then returns.

        No more connections are accepted; what was taken from publishers is delivered to all who keep up;
        every client is closed with 1001 and, when ``shutdown_timeout`` is over, cut. Calling it again only
        waits. If cancelled, the shutdown goes on.
        """
        self._stopping.set()
        await self._stopped.wait()


async def serve(
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 7890,
    listeners: Listeners | None = None,
    metrics_address: str | None = None,
    metrics_listeners: Listeners | None = None,
    http_handlers: Mapping[str, Handler] | None = None,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
    **options: Unpack[Options],
) -> None:
    """
    Serve rooms over WebSocket until :meth:`Server.shutdown`.

    Use it with ``nursery.start``, which returns the :class:`Server`::

        server = await nursery.start(functools.partial(trioecho.serve, port=0, when_slow="disconnect"))

    Args:
        host: name or address to listen on, or several; every address of a name is used.
        port: TCP port; 0 picks a free one, which ``server.url`` then says.
        listeners: instead of host and port, what to accept connections from: any trio listeners, with TLS
            (``trio.SSLListener``), on Unix sockets, or in memory. They are closed at the end.
        metrics_address: ``HOST:PORT`` where ``/healthz``, ``/readyz`` and ``/metrics`` are, and then only
            there; without it they are beside the rooms.
        metrics_listeners: instead of that, listeners of your own; they too are closed at the end.
        http_handlers: what answers plain HTTP for single addresses, which are then no rooms: a path, as in
            ``"/hello"``, and an async function that takes a :class:`Request` and returns an
            :class:`Response`.
        task_status: for ``nursery.start``.
        options: the fields of :class:`trioecho.Settings`, which has their defaults and reasons.

    Raises:
        OptionError: an option has a value that cannot work.
        ListenError: host and port cannot be listened on.

    Cancelling it cuts every connection at once, without close frames, and leaves nothing behind.

    """
    limits = Settings(**options)
    handlers = _checked(http_handlers or {})
    metrics = None if metrics_address is None else split_address(metrics_address)
    if listeners is None:
        listeners = await open_listeners([host] if isinstance(host, str) else list(host), port)
    stopped = trio.Event()
    try:
        if metrics_listeners is None:
            metrics_listeners = () if metrics is None else await open_listeners([metrics[0]], metrics[1])
        async with _cancelled_at_its_end() as machines, trio.open_nursery() as nursery:
            hub = Hub(limits, nursery)
            state = ServerState(hub, Keepalive(limits), nursery)
            server = Server(hub, _urls(listeners), _urls(metrics_listeners, "http"), stopped)
            pages = monitoring_pages(state, machines)
            beside = {**({} if metrics_listeners else pages), **handlers}
            async with trio.open_nursery() as accepting:
                accepting.start_soon(state.keepalive.run)
                rooms = Rooms(state, beside, load_page() if limits.page else None)
                door = _Door(state, rooms, Pages(beside, otherwise=TOO_MANY_CONNECTIONS))
                for listener in listeners:
                    accepting.start_soon(door.accept_from, listener)
                own = replace(state, nursery=machines, connections=set())
                side_door = _Door(own, Pages(pages), Pages(pages), MACHINE_CONNECTIONS)
                for listener in metrics_listeners:
                    machines.start_soon(side_door.accept_from, listener)
                log_listening(listeners, limits)
                for url in server.metrics_urls:
                    log_event(logging.INFO, "listening", metrics=f"{url}metrics")
                task_status.started(server)
                await server._stopping.wait()
                state.stopping = True
                accepting.cancel_scope.cancel()
            began = trio.current_time()
            there = len(state.connections)
            log_event(logging.INFO, "shutting-down", connections=there, timeout=limits.shutdown_timeout)
            nursery.cancel_scope.deadline = began + limits.shutdown_timeout
            # Half the time for the slow to take what their rooms hold for them, half for everybody's goodbye.
            await hub.finish(began + limits.shutdown_timeout / 2)
            for connection in tuple(state.connections):
                connection.disconnect(SHUTDOWN)
        left = hub.counters.disconnected
        log_event(
            logging.INFO,
            "stopped",
            closed=left[SHUTDOWN.name],
            cut=left[CUT.name],
            took=trio.current_time() - began,
        )
    finally:
        stopped.set()
        for listener in (*listeners, *(metrics_listeners or ())):
            await trio.aclose_forcefully(listener)


@asynccontextmanager
async def _cancelled_at_its_end() -> AsyncIterator[trio.Nursery]:
    """Give a nursery whose tasks go on until the block is left, and no longer."""
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


def _checked(handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
    for path in handlers:
        if not isinstance(path, str) or not path.startswith("/") or not callable(handlers[path]):
            raise OptionError("http_handlers", f"must be async functions by path (/hello), not {path!r}")
    return handlers


def _urls(listeners: Listeners, scheme: str = "ws") -> tuple[str, ...]:
    return tuple([scheme + url_of(listener).removeprefix("ws") for listener in listeners])


class _Door:
    """
    Where connections come in: ``limit`` at a time are served by ``site``, a few more by ``crowded``.

    Beyond those they are just closed.
    """

    def __init__(self, state: ServerState, site: Site, crowded: Site, limit: int | None = None) -> None:
        self._state = state
        self._site = site
        self._crowded = crowded
        self._limit = state.hub.limits.max_connections if limit is None else limit
        self._turning_away = 0

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
        state, address = self._state, address_of(stream)
        stream = unlayered(stream)
        if len(state.connections) < self._limit:
            connection = Connection(state, self._site, stream, address)
            state.connections.add(connection)
            state.nursery.start_soon(connection.run)
        elif self._turning_away < BUSY_REFUSALS:
            self._turning_away += 1
            crowded = Connection(state, self._crowded, stream, address, crowded=True)
            state.nursery.start_soon(self._turn_away, crowded)
        else:
            state.hub.counters.refused["overload"] += 1
            state.nursery.start_soon(trio.aclose_forcefully, stream)

    async def _turn_away(self, connection: Connection) -> None:
        try:
            await connection.run()
        finally:
            self._turning_away -= 1
