"""``trioecho bench``: drive a relaying WebSocket server and report what it did."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trioecho.cli.errors import Failure
from trioecho.cli.option_groups import spread
from trioecho.cli.parsing import number, whole
from trioecho.cli.parsing import size as parse_size
from trioecho.options import OptionError

if TYPE_CHECKING:
    from trioecho.bench.load import Load

__all__ = ["bench"]

LOAD, SERVER, OUTPUT = "Load", "Server", "Output"

SPARE_DESCRIPTORS = 32
"""Files that the process has open besides its connections."""


@spread()
def bench(
    *,
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL", help="The server; the path is the room. Takes every URL that client takes."
        ),
    ] = "ws://127.0.0.1:7890/",
    mode: Annotated[
        Literal["flood", "paced", "connect"],
        typer.Option(
            help="Send as fast as the receivers take it, or at a fixed rate, or only connect.",
            rich_help_panel=LOAD,
        ),
    ] = "flood",
    subscribers: Annotated[
        int,
        typer.Option(
            help="Connections that only listen, in all rooms together.",
            rich_help_panel=LOAD,
            metavar="N",
            parser=whole,
        ),
    ] = 200,
    publishers: Annotated[
        int,
        typer.Option(
            help="Connections that send, in each room.", rich_help_panel=LOAD, metavar="N", parser=whole
        ),
    ] = 1,
    rooms: Annotated[
        int,
        typer.Option(
            help="Rooms; with more than one, /0, /1, ... follow the path.",
            rich_help_panel=LOAD,
            metavar="N",
            parser=whole,
        ),
    ] = 1,
    window: Annotated[
        int,
        typer.Option(
            help="With flood: how many messages of one publisher may be in flight.",
            rich_help_panel=LOAD,
            metavar="N",
            parser=whole,
        ),
    ] = 64,
    rate: Annotated[
        float,
        typer.Option(
            help="With paced: messages a second from each publisher.",
            rich_help_panel=LOAD,
            metavar="N",
            parser=number,
        ),
    ] = 50.0,
    size: Annotated[
        int, typer.Option(help="Size of a message.", rich_help_panel=LOAD, metavar="SIZE", parser=parse_size)
    ] = 128,
    text: Annotated[
        bool, typer.Option("--text/--binary", help="Send text or binary messages.", rich_help_panel=LOAD)
    ] = True,
    warmup: Annotated[
        float,
        typer.Option(
            help="How long messages flow before anything is measured.",
            rich_help_panel=LOAD,
            metavar="SECONDS",
            parser=number,
        ),
    ] = 1.0,
    duration: Annotated[
        float,
        typer.Option(help="How long to measure.", rich_help_panel=LOAD, metavar="SECONDS", parser=number),
    ] = 5.0,
    stall: Annotated[
        float,
        typer.Option(
            help="End the run if nothing is delivered for so long.",
            rich_help_panel=LOAD,
            metavar="SECONDS",
            parser=number,
        ),
    ] = 5.0,
    to: Annotated[
        Literal["others", "everyone"],
        typer.Option(help="Who should receive a message: see serve --to.", rich_help_panel=SERVER),
    ] = "others",
    cacert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Trust the authorities in this file (PEM) instead of the system's.",
            rich_help_panel=SERVER,
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Trust any certificate.", rich_help_panel=SERVER)
    ] = False,
    pid: Annotated[
        int | None,
        typer.Option(
            help="Process of the server; its CPU time and memory are reported too.",
            rich_help_panel=SERVER,
            metavar="PID",
            parser=whole,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """
    Measure a WebSocket server that relays messages: this one or any other.

    Every message is checked at every receiver. The exit code is 1 if any was lost,
    duplicated, changed or out of order, or a client was disconnected. Latencies are
    measured from when a message was due, so that a server that pauses cannot hide it.
    Memory per connection is only right for a freshly started server.
    """
    from trioecho.bench.dial import DialError
    from trioecho.bench.load import Load
    from trioecho.bench.plan import Plan
    from trioecho.bench.process import ProcessError
    from trioecho.bench.report import Report
    from trioecho.bench.target import Target

    plan = Plan(
        mode=mode,
        subscribers=subscribers,
        publishers=publishers,
        rooms=rooms,
        to=to,
        window=window,
        rate=rate,
        size=size,
        text=text,
        duration=duration,
        warmup=warmup,
        stall=stall,
        pid=pid,
    )
    try:
        target = Target.parse(url, cacert=cacert, insecure=insecure)
    except OptionError as error:
        if error.option == "url":
            raise typer.BadParameter(error.problem, param_hint="URL") from None
        raise
    _allow_descriptors(plan.connections + SPARE_DESCRIPTORS)
    load = Load(plan, target)
    # The run makes no cycles, and looking for them among thousands of connections takes time from the load.
    gc.disable()
    try:
        _run(load)
    except (DialError, ProcessError) as error:
        raise Failure(str(error)) from error
    finally:
        gc.enable()
    report = Report(load)
    typer.echo(json.dumps(report.figures()) if as_json else "\n".join(report.lines()))
    if report.problems:
        raise Failure("; ".join(report.problems))


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
