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

from trioecho.access.address_limits import AddressLimits
from trioecho.access.gate import Authorize, Gate
from trioecho.disconnect import ABORTED, DRAINED, SHUTDOWN
from trioecho.log import log_event, logger
from trioecho.nurseries import open_plain_nursery
from trioecho.options import OptionError
from trioecho.rooms.hub import Hub, registry_of
from trioecho.rooms.shedding import shed
from trioecho.server.acceptor import Acceptor
from trioecho.server.drain import disconnect_all, drain
from trioecho.server.entrance import entrance_of
from trioecho.server.listening import log_listening, log_monitoring, on_loopback
from trioecho.server.logs import logs_of
from trioecho.server.open_hub import settings_of
from trioecho.server.server import Server
from trioecho.sessions.compressing import Compressing
from trioecho.sessions.hooks import Hooks, OnJoin, OnLeave, OnMessage
from trioecho.sessions.inbound import Inbound
from trioecho.sessions.keepalive import Keepalive
from trioecho.sessions.message_timer import end_unfinished
from trioecho.sessions.route import RouteHandler, check_routes, open_routes
from trioecho.sessions.state import ServerState
from trioecho.settings import Options, Settings
from trioecho.transport.listener_url import url_of
from trioecho.transport.listeners import close_listeners, open_listeners, split_address
from trioecho.web.admission import Admission
from trioecho.web.monitoring import monitoring_pages
from trioecho.web.page import Page
from trioecho.web.site import TOO_MANY_CONNECTIONS, Handler, Pages, Rooms

__all__ = ["serve"]

MONITORING_CONNECTIONS = 100
"""Connections at one time on the monitoring address: a handful of programs each keep one or two."""

Listeners = Sequence[trio.abc.Listener[trio.abc.Stream]]


async def serve(
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 7890,
    listeners: Listeners | None = None,
    hub: Hub | None = None,
    metrics_address: str | None = None,
    metrics_listeners: Listeners | None = None,
    http_handlers: Mapping[str, Handler] | None = None,
    routes: Mapping[str, RouteHandler] | None = None,
    authorize: Authorize | None = None,
    on_message: OnMessage | None = None,
    on_join: OnJoin | None = None,
    on_leave: OnLeave | None = None,
    hook_timeout: float = 10.0,
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
        hub: rooms that :func:`open_hub` has made, which other servers and the application may share. Default:
            rooms of the server's own, which end with it.
        metrics_address: ``HOST:PORT`` where ``/healthz``, ``/readyz``, ``/metrics`` and ``/status`` are, and
            then only there; without it they are beside the rooms.
        metrics_listeners: instead of that, listeners of your own; they too are closed at the end.
        http_handlers: what answers plain HTTP for single addresses, which are then no rooms: a path, as in
            ``"/hello"``, and an async function that takes a :class:`Request` and returns an
            :class:`Response`.
        routes: what talks with each client of single addresses, which are then no rooms: a path, as in
            ``"/rpc"``, and an async function that takes a :class:`Conversation`. The client is disconnected
            with 1000 when it returns, and with 1011 if it fails. When the client has gone, its iteration
            ends; ``hook_timeout`` later the function is cancelled.
        authorize: an async function that says who a request for a room is from: it takes a :class:`Request`
            and returns an :class:`Identity` or a :class:`Refusal`, within ``handshake_timeout``. If it fails,
            that request is answered 500. Default: what the options say (origin, hosts, tokens); an own one
            takes the place of all of them but ``room``.
        on_message: an async function that takes a :class:`Member` and its message, and returns what becomes
            of it: see :data:`Relay`. It is called for one message of a client at a time, and its next waits.
            Messages by POST come from a member that cannot be reached. Default: all are relayed.
        on_join: an async function that takes a :class:`Member` who has come into its room, before anything
            of it is read.
        on_leave: an async function that takes a :class:`Member` who has gone, and the :class:`Disconnect`
            that says why. When the server is cancelled, it is called and cancelled at its first checkpoint.
        hook_timeout: how long each of these may take for one call (seconds). One that takes longer or fails
            ends that client with 1011, or that POST with 500.
        task_status: for ``nursery.start``.
        options: the fields of :class:`trioecho.Settings`, which has their defaults and reasons. A hub that is
            handed in decides those of :class:`HubOptions`.

    Raises:
        OptionError: an option has a value that cannot work.
        ListenError: host and port cannot be listened on.

    Cancelling it closes every connection at once, without close frames, and leaves nothing behind.

    """
    settings = Settings(**options) if hub is None else settings_of(hub, options)
    hooks = Hooks(on_message, on_join, on_leave, hook_timeout)
    entrance = entrance_of(settings)
    compressing = Compressing(settings)
    logs = logs_of(settings) if hub is None else None
    handlers = _checked(http_handlers or {})
    routes = check_routes(routes or {}, handlers)
    metrics = None if metrics_address is None else split_address(metrics_address)
    if listeners is None:
        listeners = await open_listeners([host] if isinstance(host, str) else list(host), port)
    stopped = trio.Event()
    try:
        if metrics_listeners is None:
            metrics_listeners = () if metrics is None else await open_listeners([metrics[0]], metrics[1])
        certificates = settings.tls_client_ca is not None
        gate = Gate(settings, loopback=on_loopback(listeners), client_certificates=certificates)
        admission = Admission(authorize or gate, settings)
        async with two_nurseries() as (monitoring, nursery):
            own = hub is None
            if hub is None:
                hub = Hub(settings, nursery, logs=logs)
            if logs is not None:
                monitoring.start_soon(logs.run)  # it outlives the rooms
            registry = registry_of(hub)
            inbound = Inbound(settings, registry.counters)
            addresses = AddressLimits(settings, entrance.trusted)
            state = ServerState(
                registry, settings, hooks, Keepalive(settings), inbound, compressing, addresses, nursery
            )
            tls = entrance.tls is not None
            server = Server(
                hub, _urls(listeners, tls=tls), _urls(metrics_listeners, "http"), stopped, entrance, gate
            )
            pages = monitoring_pages(state, monitoring, names=bool(metrics_listeners))
            beside = {**({} if metrics_listeners else pages), **handlers}
            async with trio.open_nursery() as accepting:
                accepting.start_soon(state.keepalive.run)
                accepting.start_soon(state.expiry.run)
                accepting.start_soon(end_unfinished, state.connections, settings.message_timeout)
                if own:
                    accepting.start_soon(registry.histories.run)
                monitoring.start_soon(state.lines.run)
                monitoring.start_soon(shed, state.hub, state.connections, state.lines)
                is_open = authorize is None and gate.is_open
                page = Page(names=not is_open) if settings.page else None
                rooms = Rooms(state, beside, page, admission, open_routes(routes, registry))
                acceptor = Acceptor(
                    state,
                    nursery,
                    state.connections,
                    site=rooms,
                    over_limit=Pages(beside, otherwise=TOO_MANY_CONNECTIONS),
                    limit=settings.max_connections,
                    entrance=entrance,
                    limits=addresses,
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
                log_listening(listeners, settings, is_open=is_open, tls=tls)
                for warning in gate.warnings:
                    logger.warning("%s", warning)
                log_monitoring(metrics_listeners)
                task_status.started(server)
                await server._stopping.wait()
                state.stopping = True
                if settings.drain:
                    await drain(state, settings.drain)
                accepting.cancel_scope.cancel()
            began = trio.current_time()
            there = len(state.connections)
            log_event(logging.INFO, "shutting-down", connections=there, timeout=settings.shutdown_timeout)
            nursery.cancel_scope.deadline = began + settings.shutdown_timeout
            # Half the time for the slow to take what their rooms hold for them, half to close connections.
            state.draining = True
            await (registry.drain if own else registry.flush)(began + settings.shutdown_timeout / 2)
            if logs is not None:
                await logs.leave()
            await disconnect_all(state.connections, DRAINED if settings.drain else SHUTDOWN)
        state.lines.flush()
        left = registry.counters.disconnected
        log_event(
            logging.INFO,
            "stopped",
            closed=left[SHUTDOWN.name] + left[DRAINED.name],
            aborted=left[ABORTED.name],
            late=registry.counters.messages_late,
            took=trio.current_time() - began,
        )
    finally:
        stopped.set()
        await close_listeners((*listeners, *(metrics_listeners or ())))


@asynccontextmanager
async def two_nurseries() -> AsyncIterator[tuple[trio.Nursery, trio.Nursery]]:
    """Give one whose tasks go on until the block is left and no longer, and one that waits for its tasks."""
    async with open_plain_nursery() as ending:
        async with trio.open_nursery() as nursery:
            yield ending, nursery
        ending.cancel_scope.cancel()


def _checked(handlers: Mapping[str, Handler]) -> Mapping[str, Handler]:
    for path in handlers:
        if not isinstance(path, str) or not path.startswith("/") or not callable(handlers[path]):
            raise OptionError("http_handlers", f"must be async functions by path (/hello), not {path!r}")
    return handlers


def _urls(listeners: Listeners, scheme: str = "ws", *, tls: bool = False) -> tuple[str, ...]:
    return tuple([scheme + url_of(listener, tls=tls).removeprefix("ws") for listener in listeners])
