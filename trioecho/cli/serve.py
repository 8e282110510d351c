"""``trioecho serve``: the server as a command."""

from __future__ import annotations

import gc
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import trio
import typer

from trioecho.cli.errors import Failure
from trioecho.cli.logs import LogFormat, LogLevel, set_up
from trioecho.cli.parsing import number, size, size_text, token, whole
from trioecho.limits import Audience, Limits, Options, WhenSlow
from trioecho.log import logger
from trioecho.server.serve import Server
from trioecho.server.serve import serve as run_server
from trioecho.transport.listeners import ListenError, open_listeners, split_address

__all__ = ["serve"]

DEFAULTS = Limits()

COLLECTOR_THRESHOLDS = (100_000, 50, 100)
"""How seldom the cyclic garbage collector runs. With thousands of connections its default is a third of
the cost of a handshake, and a server's garbage is nearly never cyclic. A command may set this; a library
must not do it behind its user's back."""

SPARE_FILES = 64
"""Open files a server needs beside its connections."""

WHERE, WHO, WEB, SLOW, BOUNDS, LIFE, LOGS = (
    "Where to listen",
    "Who gets what",
    "Browsers, curl and machines",
    "Slow clients",
    "Limits",
    "Keepalive and shutdown",
    "Log",
)


WHEN_SLOW_HELP = (
    "What happens when a client's pending bytes reach the bound. wait: its room waits for it;"
    " disconnect: it is disconnected; drop-oldest, drop-newest: its messages are dropped, and counted."
)


def option(name: str, panel: str, help: str, **more: Any) -> Any:
    """Declare one option: its flag, its environment variable, its group in the help."""
    variable = f"TRIOECHO_{name.upper()}"
    flag = f"--{name.replace('_', '-')}"
    return typer.Option(flag, envvar=variable, rich_help_panel=panel, help=help, **more)


def seconds(name: str, panel: str, help: str) -> Any:
    """Declare an option in seconds."""
    return option(name, panel, help, metavar="SECONDS", parser=number)


def switch(name: str, help: str) -> Any:
    """Declare an option that is on or off, among those for plain HTTP."""
    return typer.Option(
        f"--{name}/--no-{name}", envvar=f"TRIOECHO_{name.upper()}", rich_help_panel=WEB, help=help
    )


def size_option(name: str, panel: str, help: str, default: int) -> Any:
    """Declare an option that is a size."""
    return option(name, panel, help, metavar="SIZE", parser=size, show_default=size_text(default))


def serve(
    host: Annotated[
        list[str],
        option("host", WHERE, "Name or address to listen on; may be given several times.", metavar="HOST"),
    ] = ["127.0.0.1"],  # noqa: B006 - typer wants a list, and nobody changes it
    port: Annotated[
        int,
        option("port", WHERE, "TCP port; 0 picks a free one and says which.", metavar="PORT", parser=whole),
    ] = 7890,
    to: Annotated[
        Audience,
        option("to", WHO, "Who gets a message: the others in the room, everyone, or only its sender (echo)."),
    ] = DEFAULTS.to,
    prefix: Annotated[
        str, option("prefix", WHO, "Put before every text message that is relayed.", metavar="TEXT")
    ] = DEFAULTS.prefix,
    page: Annotated[
        bool, switch("page", "Give browsers a page that shows a room and talks to it.")
    ] = DEFAULTS.page,
    events: Annotated[
        bool, switch("events", "Give a room as Server-Sent Events to those who accept them.")
    ] = DEFAULTS.events,
    stats: Annotated[bool, switch("stats", "Give a room's stats to those who accept JSON.")] = DEFAULTS.stats,
    health: Annotated[bool, switch("health", "Answer /healthz and /readyz.")] = DEFAULTS.health,
    metrics: Annotated[bool, switch("metrics", "Answer /metrics, for Prometheus.")] = DEFAULTS.metrics,
    metrics_address: Annotated[
        str | None,
        option(
            "metrics_address",
            WEB,
            "Answer those three on an address of their own, not beside the rooms.",
            metavar="HOST:PORT",
        ),
    ] = None,
    publish_token: Annotated[
        str | None,
        option(
            "publish_token",
            WEB,
            "Let those who send this bearer token publish by POST; better in the environment or a file,"
            " because a command line is for all to see.",
            metavar="TOKEN",
        ),
    ] = DEFAULTS.publish_token,
    publish_token_file: Annotated[
        Path | None, option("publish_token_file", WEB, "Read that token from a file.", metavar="FILE")
    ] = None,
    when_slow: Annotated[
        WhenSlow, option("when_slow", SLOW, WHEN_SLOW_HELP, metavar="POLICY")
    ] = DEFAULTS.when_slow,
    max_pending_bytes: Annotated[
        int,
        size_option(
            "max_pending_bytes", SLOW, "The bound: what may wait for one client.", DEFAULTS.max_pending_bytes
        ),
    ] = DEFAULTS.max_pending_bytes,
    stall_limit: Annotated[
        float, seconds("stall_limit", SLOW, "With wait: how long one client may hold up its room.")
    ] = DEFAULTS.stall_limit,
    max_message_size: Annotated[
        int,
        size_option("max_message_size", BOUNDS, "Largest message from a client.", DEFAULTS.max_message_size),
    ] = DEFAULTS.max_message_size,
    max_connections: Annotated[
        int, option("max_connections", BOUNDS, "Connections at one time.", metavar="N", parser=whole)
    ] = DEFAULTS.max_connections,
    max_rooms: Annotated[
        int,
        option("max_rooms", BOUNDS, "Rooms at one time; a room is a URL's path.", metavar="N", parser=whole),
    ] = DEFAULTS.max_rooms,
    handshake_timeout: Annotated[
        float, seconds("handshake_timeout", BOUNDS, "For a client's request to arrive.")
    ] = DEFAULTS.handshake_timeout,
    ping_interval: Annotated[
        float, seconds("ping_interval", LIFE, "Between pings to a client; 0 turns pings off.")
    ] = DEFAULTS.ping_interval,
    ping_timeout: Annotated[
        float, seconds("ping_timeout", LIFE, "For a sign of life after a ping; 0 turns pings off.")
    ] = DEFAULTS.ping_timeout,
    shutdown_timeout: Annotated[
        float, seconds("shutdown_timeout", LIFE, "For a graceful shutdown; who is left then is cut.")
    ] = DEFAULTS.shutdown_timeout,
    log_format: Annotated[LogFormat, option("log_format", LOGS, "Lines for people, or JSON.")] = "text",
    log_level: Annotated[LogLevel, option("log_level", LOGS, "How much to log.")] = "info",
) -> None:
    """
    Serve rooms over WebSocket: what one client sends, every other client in its room gets.

    The URL's path is the room. Ctrl-C (or SIGTERM) shuts down gracefully, a second one at once.
    """
    options = Options(
        to=to,
        prefix=prefix,
        when_slow=when_slow,
        max_pending_bytes=max_pending_bytes,
        stall_limit=stall_limit,
        max_message_size=max_message_size,
        max_connections=max_connections,
        max_rooms=max_rooms,
        handshake_timeout=handshake_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        shutdown_timeout=shutdown_timeout,
        page=page,
        events=events,
        stats=stats,
        health=health,
        metrics=metrics,
        publish_token=token(publish_token, publish_token_file),
    )
    Limits(**options)
    set_up(log_format, log_level)
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    _allow_files(max_connections + SPARE_FILES)
    try:
        status = trio.run(_serve_until_signalled, host, port, metrics_address, options)
    except ListenError as error:
        raise Failure(str(error)) from error
    raise typer.Exit(status)


async def _serve_until_signalled(
    host: list[str], port: int, metrics_address: str | None, options: Options
) -> int:
    """Serve; the first signal shuts down gracefully, the second at once. Returns the exit code."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        metrics = None if metrics_address is None else split_address(metrics_address)
        listeners = await open_listeners(host, port)
        metrics_listeners = None if metrics is None else await open_listeners([metrics[0]], metrics[1])
        async with trio.open_nursery() as nursery:
            run = partial(run_server, listeners=listeners, metrics_listeners=metrics_listeners, **options)
            server = await nursery.start(run)
            await anext(signals)
            nursery.start_soon(_shut_down, server, nursery.cancel_scope)
            second = await anext(signals)
            nursery.cancel_scope.cancel()
            logger.warning("stopped at once: clients were cut without a close frame")
            return 128 + second
    return 0


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
