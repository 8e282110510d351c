"""
The server: listen, admit, shut down.

The nursery tree is the design. Shutdown is the order of its parts: the accepting nursery goes first, the
rooms deliver what they have taken, and the nursery of all clients has a deadline.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Unpack

import trio

from trioecho.access.gate import Authorize, Gate
from trioecho.counters import Counters
from trioecho.disconnect import ABORTED, SHUTDOWN
from trioecho.log import log_event, logger
from trioecho.options import OptionError
from trioecho.rooms.hub import Hub, registry_of
from trioecho.server.acceptor import Acceptor
from trioecho.server.entrance import Entrance, entrance_of
from trioecho.server.listening import log_listening, on_loopback
from trioecho.sessions.inbound import Inbound
from trioecho.sessions.keepalive import Keepalive
from trioecho.sessions.state import ServerState
from trioecho.settings import Options, Settings
from trioecho.transport.listeners import close_listeners, open_listeners, split_address, url_of
from trioecho.web.admission import Admission
from trioecho.web.monitoring import monitoring_pages
from trioecho.web.page import Page
from trioecho.web.site import TOO_MANY_CONNECTIONS, Handler, Pages, Rooms

__all__ = ["Server", "serve"]

MONITORING_CONNECTIONS = 100
"""Connections at one time on the monitoring address: a handful of programs each keep one or two."""

Listeners = Sequence[trio.abc.Listener[trio.abc.Stream]]


class Server:
    """
    A running server, as ``nursery.start(serve)`` returns it.

    Attributes:
        hub: its rooms: publish and subscribe from the application.
        urls: an address for each listener, as a client takes it.
        metrics_urls: likewise for the monitoring addresses, if they are on a port of their own.

    """

    def __init__(
        self,
        hub: Hub,
        urls: tuple[str, ...],
        metrics_urls: tuple[str, ...],
        stopped: trio.Event,
        entrance: Entrance,
        gate: Gate,
    ) -> None:
        self.hub = hub
        self.urls = urls
        self.metrics_urls = metrics_urls
        self._stopping = trio.Event()
        self._stopped = stopped
        self._entrance = entrance
        self._gate = gate

    @property
    def url(self) -> str:
        """The first of :attr:`urls`."""
        return self.urls[0]

    @property
    def counters(self) -> Counters:
        """What the server has counted."""
        return registry_of(self.hub).counters

    def reload(self) -> None:
        """
        Read the files of certificates, tokens and keys again, each as a whole.

        A wrong one is logged, and its old content stays. Clients that are connected stay so.
        """
        self._entrance.reload()
        errors = self._gate.reload()
        for error in errors:
            log_event(
                logging.ERROR, "not-reloaded", why=f"--{error.option.replace('_', '-')} {error.problem}"
            )
        for warning in self._gate.warnings:
            logger.warning("%s", warning)
        if not errors:
            log_event(logging.INFO, "reloaded")

    async def shutdown(self) -> None:
        """
        Shut down gracefully and wait until that is done; ``serve()`` then returns.

        No more connections are accepted; what was taken from publishers is delivered to all who keep up;
        every client is closed with 1001, and its connection aborted if it is still open when
        ``shutdown_timeout`` is over. What clients send meanwhile is still read, so that they come to read
        what they are owed, but it is discarded and counted. Calling it again only waits. If cancelled, the
        shutdown goes on.
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
    authorize: Authorize | None = None,
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
        authorize: an async function that says who a request for a room is from: it takes a :class:`Request`
            and returns an :class:`Identity` or a :class:`Refusal`, within ``handshake_timeout``. If it fails,
            that request is answered 500. Default: what the options say (origin, hosts, tokens); an own one
            takes the place of all of them but ``room``.
        task_status: for ``nursery.start``.
        options: the fields of :class:`trioecho.Settings`, which has their defaults and reasons.

    Raises:
        OptionError: an option has a value that cannot work.
        ListenError: host and port cannot be listened on.

    Cancelling it closes every connection at once, without close frames, and leaves nothing behind.

    """
    limits = Settings(**options)
    entrance = entrance_of(limits)
    handlers = _checked(http_handlers or {})
    metrics = None if metrics_address is None else split_address(metrics_address)
    if listeners is None:
        listeners = await open_listeners([host] if isinstance(host, str) else list(host), port)
    stopped = trio.Event()
    try:
        if metrics_listeners is None:
            metrics_listeners = () if metrics is None else await open_listeners([metrics[0]], metrics[1])
        gate = Gate(limits, loopback=on_loopback(listeners))
        admission = Admission(authorize or gate.authorize, limits)
        async with cancelled_at_end() as monitoring, trio.open_nursery() as nursery:
            hub = Hub(limits, nursery)
            registry = registry_of(hub)
            inbound = Inbound(limits, registry.counters)
            state = ServerState(registry, Keepalive(limits), inbound, nursery)
            tls = entrance.tls is not None
            server = Server(
                hub, _urls(listeners, tls=tls), _urls(metrics_listeners, "http"), stopped, entrance, gate
            )
            pages = monitoring_pages(state, monitoring)
            beside = {**({} if metrics_listeners else pages), **handlers}
            async with trio.open_nursery() as accepting:
                accepting.start_soon(state.keepalive.run)
                accepting.start_soon(state.expiry.run)
                monitoring.start_soon(state.lines.run)
                rooms = Rooms(state, beside, Page() if limits.page else None, admission)
                acceptor = Acceptor(
                    state,
                    nursery,
                    state.connections,
                    site=rooms,
                    over_limit=Pages(beside, otherwise=TOO_MANY_CONNECTIONS),
                    limit=limits.max_connections,
                    entrance=entrance,
                )
                for listener in listeners:
                    accepting.start_soon(acceptor.accept_from, listener)
                # These take no place of a client's, and are served until the shutdown is over.
                monitored = Pages(pages)
                monitoring_acceptor = Acceptor(
                    state,
                    monitoring,
                    set(),
                    site=monitored,
                    over_limit=monitored,
                    limit=MONITORING_CONNECTIONS,
                )
                for listener in metrics_listeners:
                    monitoring.start_soon(monitoring_acceptor.accept_from, listener)
                log_listening(listeners, limits, is_open=authorize is None and gate.is_open, tls=tls)
                for warning in gate.warnings:
                    logger.warning("%s", warning)
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
            # Half the time for the slow to take what their rooms hold for them, half to close connections.
            await registry.drain(began + limits.shutdown_timeout / 2)
            for connection in tuple(state.connections):
                connection.disconnect(SHUTDOWN)
        state.lines.flush()
        left = registry.counters.disconnected
        log_event(
            logging.INFO,
            "stopped",
            closed=left[SHUTDOWN.name],
            aborted=left[ABORTED.name],
            late=registry.counters.messages_late,
            took=trio.current_time() - began,
        )
    finally:
        stopped.set()
        await close_listeners((*listeners, *(metrics_listeners or ())))


@asynccontextmanager
async def cancelled_at_end() -> AsyncIterator[trio.Nursery]:
    """Give a nursery whose tasks go on until the block is left, and no longer."""
    async with trio.open_nursery() as nursery:
        yield nursery
        nursery.cancel_scope.cancel()


def _checked(handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
    for path in handlers:
        if not isinstance(path, str) or not path.startswith("/") or not callable(handlers[path]):
            raise OptionError("http_handlers", f"must be async functions by path (/hello), not {path!r}")
    return handlers


def _urls(listeners: Listeners, scheme: str = "ws", *, tls: bool = False) -> tuple[str, ...]:
    return tuple([scheme + url_of(listener, tls=tls).removeprefix("ws") for listener in listeners])
