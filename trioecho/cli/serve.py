"""``trioecho serve``: the server as a command."""

from __future__ import annotations

import gc
import signal
from contextlib import suppress
from functools import partial
from typing import cast

import trio
import typer

from trioecho.cli.errors import Failure
from trioecho.cli.logs import Logging, logging_to_stderr
from trioecho.cli.option_groups import spread
from trioecho.log import logger
from trioecho.options import OptionError
from trioecho.server.serve import Server
from trioecho.server.serve import serve as run_server
from trioecho.settings import Listening, Options, Settings
from trioecho.transport.listeners import ListenError, open_listeners, split_address

__all__ = ["serve"]

COLLECTOR_THRESHOLDS = (100_000, 50, 100)
"""How seldom the cyclic garbage collector runs. With thousands of connections its default is a third of
the cost of a handshake, and a server's garbage is nearly never cyclic. A command may set this; a library
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
            status = trio.run(_serve_until_signalled, listening, settings)
        except ListenError as error:
            raise Failure(str(error)) from error
    raise typer.Exit(status)


async def _serve_until_signalled(listening: Listening, settings: Settings) -> int:
    """Serve; the first signal shuts down gracefully, the second at once. Returns the exit code."""
    reloads = settings.has_files
    with trio.open_signal_receiver(*_watched_signals()) as signals:
        metrics = None if listening.metrics_address is None else split_address(listening.metrics_address)
        listeners = await open_listeners(listening.host, listening.port)
        metrics_listeners = None if metrics is None else await open_listeners([metrics[0]], metrics[1])
        wrong: OptionError | None = None
        async with trio.open_nursery() as nursery:
            options = cast(Options, vars(settings))
            run = partial(run_server, listeners=listeners, metrics_listeners=metrics_listeners, **options)
            try:
                server = await nursery.start(run)
            except OptionError as error:
                wrong = error  # raised below, where no nursery wraps it
                nursery.cancel_scope.cancel()
                await trio.lowlevel.checkpoint()
            while await anext(signals) == HANGUP and reloads:
                server.reload()
            nursery.start_soon(_shut_down, server, nursery.cancel_scope)
            while (second := await anext(signals)) == HANGUP and reloads:
                pass
            nursery.cancel_scope.cancel()
            logger.warning("stopped at once: clients were cut without a close frame")
            return 128 + second
    if wrong is not None:
        raise wrong
    return 0


def _watched_signals() -> list[signal.Signals]:
    """
    Return the signals that shut the server down or, like SIGHUP if there are files to read again, reload it.

    Otherwise SIGHUP, which a closed terminal sends, shuts it down too: a server that nobody sees any more
    should not go on. Under ``nohup``, which ignores SIGHUP, it does.
    """
    ending = [signal.SIGINT, signal.SIGTERM]
    if HANGUP is not None and signal.getsignal(HANGUP) != signal.SIG_IGN:
        ending.append(HANGUP)
    return ending


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
