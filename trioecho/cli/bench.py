"""``trioecho bench``: drive a relaying WebSocket server and report what it did."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trioecho.cli.bench_options import LoadOptions, OutputOptions, ServerOptions
from trioecho.cli.errors import Failure
from trioecho.cli.option_groups import spread
from trioecho.cli.stdio import print_all
from trioecho.options import OptionError
from trioecho.system_errors import reason_of

if TYPE_CHECKING:
    from trioecho.bench.load import Load

__all__ = ["bench"]

SPARE_DESCRIPTORS = 32
"""Files that the process has open besides its connections."""


@spread(load=LoadOptions, server=ServerOptions, output=OutputOptions)
def bench(
    *,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="The server; the path is the room. Takes every URL that client takes."
        ),
    ] = "ws://127.0.0.1:7890/",
    load: LoadOptions,
    server: ServerOptions,
    output: OutputOptions,
) -> None:
    """
    Measure a WebSocket server that relays messages: this one or any other.

    Every message is checked at every receiver. The exit code is 1 if any was lost,
    duplicated, changed or out of order, or a client was disconnected. Latencies are
    measured from when a message was due, so that a server that pauses cannot hide it.
    Memory per connection is only right for a freshly started server.
    """
    from trioecho.bench.handshake import DialError
    from trioecho.bench.load import Load
    from trioecho.bench.plan import Plan
    from trioecho.bench.process import ProcessError
    from trioecho.bench.report import Report
    from trioecho.bench.sources import parse_sources
    from trioecho.bench.storm import StormLoad
    from trioecho.bench.target import Target
    from trioecho.cli.client.credentials import bearer
    from trioecho.client.errors import ConnectFailed
    from trioecho.client.token import check_token, current_token

    plan = Plan(
        mode=load.chosen_mode,
        subscribers=load.subscribers,
        publishers=load.publishers,
        rooms=load.rooms,
        stayed=load.stayed,
        to=server.to,
        window=load.window,
        rate=load.chosen_rate,
        size=load.size,
        text=load.text,
        duration=load.duration,
        warmup=load.warmup,
        stall=load.stall,
        at_once=load.at_once,
        sources=parse_sources(load.source or ()),
        resume=server.resume,
        pid=server.pid,
        lines=None if load.lines is None else str(load.lines),
    )
    texts = () if load.lines is None else _read_lines(load.lines)
    try:
        source = bearer(server.token, server.token_file)
        check_token(source, server.token_as)
        target = Target.parse(
            url,
            cacert=server.cacert,
            insecure=server.insecure,
            token=current_token(source, server.token_as),
            token_as=server.token_as,
            compress=server.compress,
        )
    except OptionError as error:
        if error.option == "url":
            raise typer.BadParameter(error.problem, param_hint="URL") from None
        raise
    except ConnectFailed as error:
        raise Failure(str(error)) from None
    _allow_descriptors(plan.connections + SPARE_DESCRIPTORS)
    ours = (StormLoad if plan.mode == "storm" else Load)(plan, target, texts)
    # The run makes no cycles, and looking for them among thousands of connections takes time from the load.
    gc.disable()
    try:
        _run(ours)
    except (DialError, ProcessError) as error:
        raise Failure(str(error)) from error
    finally:
        gc.enable()
    report = Report(ours)
    text = json.dumps(report.figures()) if output.as_json else "\n".join(report.lines())
    print_all(f"{text}\n")
    if report.problems:
        raise Failure("; ".join(report.problems))


def _read_lines(path: Path) -> list[bytes]:
    """Return the lines of a file, which must be ASCII: so they can be cut anywhere."""
    try:
        found = [line for line in path.read_bytes().splitlines() if line]
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {reason_of(error)}", param_hint="--lines") from None
    if not found or not all(line.isascii() for line in found):
        raise typer.BadParameter(f"{path} must hold lines of ASCII text", param_hint="--lines")
    return found


def _run(load: Load) -> None:
    """Run it, with a line of progress if somebody is watching."""
    if not sys.stderr.isatty():
        load.run()
        return
    from trioecho.bench.progress import Progress

    with Progress(load):
        load.run()


def _allow_descriptors(wanted: int) -> None:
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise Failure(f"{wanted} open files are needed, but this process may have {hard}: see 'ulimit -Hn'")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
