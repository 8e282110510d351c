"""``trioecho top``: what a server, its workers, or all servers of an engine do now."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated

import trio
import typer

from trioecho.cli.client.signals import Interrupted, handle_signals
from trioecho.cli.errors import Failure
from trioecho.cli.option_groups import spread
from trioecho.cli.stdio import STDOUT
from trioecho.cli.top.asking import Asking, Sharing
from trioecho.cli.top.rates import Past, total
from trioecho.cli.top.source import Away, Source
from trioecho.options import OptionError

__all__ = ["top"]

DEFAULT_URL = "http://127.0.0.1:7890/"
"""Where `trioecho serve` listens by default."""

APART = 1.0
"""How far apart two looks are of which rates are made (seconds)."""

MOST_LOOKS = 10
"""So often at most after the first: a large server says the same for some seconds."""


@spread(asking=Asking, sharing=Sharing)
def top(
    *,
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="URL",
            help="The server, or better its --metrics-address, which alone names rooms and addresses:"
            f" http://HOST:PORT/, https://HOST/ or ws+unix:/PATH.sock. Default: {DEFAULT_URL}",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print it once, with rates of one second, as JSON, and exit."),
    ] = False,
    asking: Asking,
    sharing: Sharing,
) -> None:
    """
    Show what servers do now: rates with a plot of the last five minutes, the largest rooms, slow clients.

    Of one server, or of all its workers, or of all servers that share an engine. q or Ctrl-C ends it. Who is
    away is asked again until it is back; with --json, that is an error.

    Exit codes: 0 it was ended, 1 with --json there was no answer, 2 the command was wrong.
    """
    source = (sharing.source() if url is None else None) or asking.source(url or DEFAULT_URL)
    if as_json:
        try:
            trio.run(print_json, source)
        except Away as away:
            raise Failure(f"{source}: {away}") from None
        return
    if not os.isatty(STDOUT) or os.environ.get("TERM", "dumb") == "dumb":
        raise OptionError("json", "is needed where standard output is not a terminal")
    try:
        trio.run(show, source)
    except Interrupted:
        raise typer.Exit(130) from None


async def show(source: Source) -> None:
    """Show it on the terminal, until a signal or a key."""
    from rich.console import Console

    from trioecho.cli.top.screen import Screen

    async with handle_signals() as signals:
        with signals.interruptible():
            try:
                await Screen(source, Console(highlight=False)).run()
            finally:
                await source.aclose()


async def print_json(source: Source) -> None:
    """Look twice or until there are rates, and print the last look with them."""
    past = Past()
    try:
        past.add(status := await source.get())
        for _ in range(MOST_LOOKS):
            await trio.sleep(APART)
            past.add(status := await source.get())
            if len(past.nodes) == len(status.nodes):
                break
    finally:
        await source.aclose()
    found = asdict(status)
    for node in found["nodes"]:
        rates = past.nodes.get(node["node"])
        node["rates"] = None if rates is None else asdict(rates)
    found["rates"] = asdict(total(list(past.nodes.values())))
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
