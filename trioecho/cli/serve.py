"""``trioecho serve``: the server as a command."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import cast

import trio
import typer

from trioecho.cli.errors import Failure
from trioecho.cli.heap import give_back_freed
from trioecho.cli.logs import Logging, logging_to_stderr
from trioecho.cli.option_groups import spread
from trioecho.log import logger
from trioecho.options import OptionError
from trioecho.rooms.hub import registry_of
from trioecho.server.serve import Listeners
from trioecho.server.serve import serve as run_server
from trioecho.server.server import Server
from trioecho.settings import Listening, Options, Settings
from trioecho.transport.listeners import ListenError, close_listeners, open_listeners, split_address
from trioecho.transport.systemd import inherited_listeners, notify, watchdog_interval
from trioecho.web.site import Handler
from trioecho.workers.handover import Handover, received

__all__ = ["serve"]

COLLECTOR_THRESHOLDS = (5_000, 1_000, 100)
"""How seldom the cyclic garbage collector runs. With thousands of connections its default is a third of
the cost of a handshake, and a server's garbage is nearly never cyclic. A run looks at as many objects as the
first number, and nobody is served meanwhile: 100,000 take up to 190 ms. A command may set this; a library
must not do it behind its user's back."""

HANGUP = getattr(signal, "SIGHUP", None)
"""What Windows does not have."""

SPARE_FILES = 64
"""Open files a server needs beside its connections."""


@spread(listening=Listening, settings=Settings, log=Logging)
def serve(*, listening: Listening, settings: Settings, log: Logging) -> None:
    """
    Serve rooms over WebSocket: what one client sends, every other client in its room gets.

    The URL's path is the room. Ctrl-C, SIGTERM or a closed terminal shuts down gracefully, a second signal
    at once. With a file of tokens or keys, SIGHUP reads it again instead.
    """
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    with logging_to_stderr(log):
        _allow_files(settings.max_connections + SPARE_FILES)
        try:
            handed = received()
            if handed is None and listening.worker_count > 1:
                status = trio.run(_supervise, listening, settings)
            else:
                status = trio.run(_serve_until_signalled, listening, settings, handed)
        except ListenError as error:
            raise Failure(str(error)) from error
    raise typer.Exit(status)


async def _supervise(listening: Listening, settings: Settings) -> int:
    """Have workers serve. Returns the exit code."""
    from trioecho.cli.workers import run_supervisor

    with trio.open_signal_receiver(*_signals(True)) as signals:
        return await run_supervisor(listening, settings, signals)


async def _serve_until_signalled(listening: Listening, settings: Settings, handed: Handover | None) -> int:
    """Serve; the first signal shuts down gracefully, the second at once. Returns the exit code."""
    hangup = getattr(signal, "SIGHUP", None)  # not on Windows
    reloading = hangup is not None and (settings.has_files or settings.tls_cert is not None)
    wrong: OptionError | None = None
    with trio.open_signal_receiver(*_signals(reloading)) as signals:
        metrics = None if listening.metrics_address is None else split_address(listening.metrics_address)
        listeners: Listeners = handed.listeners() if handed else await _open_listeners(listening)
        try:
            metrics_listeners: Listeners | None = None
            handlers: Mapping[str, Handler] = {}
            if handed is not None:
                from trioecho.cli.workers import hold_line, pages_beside_rooms
                from trioecho.workers.part import part_of

                metrics_listeners = [handed.metrics_listener()]
                if metrics is None:
                    handlers = pages_beside_rooms(settings, handed)
                settings = part_of(settings, handed.workers)
            elif metrics is not None:
                metrics_listeners = await open_listeners([metrics[0]], metrics[1])
            async with trio.open_nursery() as nursery:
                options = cast(Options, vars(settings))
                run = partial(
                    run_server,
                    listeners=listeners,
                    metrics_listeners=metrics_listeners,
                    http_handlers=handlers,
                    **options,
                )
                try:
                    server = await nursery.start(run)
                except OptionError as error:
                    wrong = error  # raised below, where no nursery wraps it
                    nursery.cancel_scope.cancel()
                    await trio.lowlevel.checkpoint()
                notify("READY=1")
                nursery.start_soon(_feed_watchdog)
                if wrong is None:
                    nursery.start_soon(give_back_freed, registry_of(server.hub).memory)
                if handed is not None and wrong is None:
                    nursery.start_soon(hold_line, handed)
                while await anext(signals) == hangup and reloading:
                    _reload(server)
                notify("STOPPING=1")
                nursery.start_soon(_shut_down, server, nursery.cancel_scope)
                while (second := await anext(signals)) == hangup and reloading:
                    pass
                nursery.cancel_scope.cancel()
                logger.warning("stopped at once: clients were cut without a close frame")
                return 128 + second
        finally:
            await close_listeners(listeners)  # of a server that could not start, too
            if handed is not None and handed.is_orphan:
                from trioecho.cli.workers import end_engine

                await end_engine()
    if wrong is not None:
        raise wrong
    return 0


async def _open_listeners(listening: Listening) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
    """
    Listen on what was asked for: sockets that systemd hands over, a Unix socket, TCP.

    TCP's default address is only for a server that has nothing else to listen on.
    """
    listeners: list[trio.abc.Listener[trio.abc.Stream]] = []
    listeners += [] if listening.tcp else [listener for _, listener in inherited_listeners()]
    try:
        if listening.unix is not None:
            listeners.append(_open_unix(listening.unix, int(listening.unix_mode, 8)))
        if listening.tcp or not listeners:
            listeners += await open_listeners(listening.host, listening.port)
    except BaseException:
        await close_listeners(listeners)
        raise
    return listeners


def _open_unix(path: str, mode: int) -> trio.abc.Listener[trio.abc.Stream]:
    if os.name != "posix":
        raise ListenError(f"cannot listen on {path}: Unix sockets need a POSIX system")
    from trioecho.transport.unix_listener import open_unix_listener

    return open_unix_listener(path, mode=mode)


def _signals(reloading: bool) -> list[signal.Signals]:
    """
    Return the signals to wait for: those that shut the server down, and SIGHUP.

    SIGHUP, which a closed terminal sends too, shuts down unless there is something to reload: a server that
    nobody sees any more should not go on. Under ``nohup``, which ignores SIGHUP, the server goes on.
    """
    signals = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and (reloading or signal.getsignal(hangup) != signal.SIG_IGN):
        signals.append(hangup)
    return signals


def _reload(server: Server) -> None:
    """Read all files again; the service manager is told when that begins and ends."""
    notify("RELOADING=1")
    server.reload()
    notify("READY=1")


async def _feed_watchdog() -> None:
    """Tell the service manager that the server's loop still turns, as often as it wants to hear it."""
    interval = watchdog_interval()
    while interval is not None and notify("WATCHDOG=1"):  # noqa: ASYNC110 - there is no event: time passes
        await trio.sleep(interval)


async def _shut_down(server: Server, scope: trio.CancelScope) -> None:
    await server.shutdown()
    scope.cancel()


def _allow_files(wanted: int) -> None:
    """Raise the soft limit on open files as far as it goes; say so if that is not far enough."""
    try:
        import resource
    except ImportError:  # not POSIX: there is no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
        if soft < wanted:
            logger.warning(
                "only %d open files are allowed, too few for %d connections: raise the limit (ulimit -n)"
                " or lower --max-connections",
                soft,
                wanted - SPARE_FILES,
            )
