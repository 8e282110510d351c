"""``trioecho client``: talk to a WebSocket server, from a terminal or in a pipe."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from trioecho.cli.client.connect_options import URL_HELP, Connecting
from trioecho.cli.client.notices import Notices
from trioecho.cli.client.pipe import Pipe
from trioecho.cli.client.pipe_options import ENDING, Piping
from trioecho.cli.client.run import room_name, run
from trioecho.cli.option_groups import spread
from trioecho.cli.stdio import STDIN, STDOUT

__all__ = ["client"]

DEFAULT_URL = "ws://127.0.0.1:7890/"
"""Where `trioecho serve` listens by default."""


@spread(piping=Piping, connecting=Connecting)
def client(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help=URL_HELP)] = DEFAULT_URL,
    stay: Annotated[
        bool,
        typer.Option("--stay", rich_help_panel=ENDING, help="Keep running after the end of standard input."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notices on standard error but warnings.")
    ] = False,
    piping: Piping,
    connecting: Connecting,
) -> None:
    """
    Talk to a WebSocket server: print each message as a line, send each line of standard input as a message.

    On a terminal there is a prompt with editing and history; type /help for its commands.

    Text is printed unchanged, binary messages in base64. At the end of standard input the connection is
    closed, once everything has been sent, unless --stay, --count or --timeout say when to stop. Ctrl-C closes
    it too; a second Ctrl-C does not wait for the server. Only messages are written to standard output.

    Exit codes: 0 success (the server closed with 1000, or we closed), 1 the connection failed or was lost, 2
    the command was wrong, 130 interrupted twice.
    """
    form, notices = piping.form(room_name(url)), Notices(quiet=quiet)
    if piping == Piping() and _at_terminal():
        # Only here, because it takes as long to load as everything else.
        from trioecho.cli.client.terminal import Terminal

        run(url, connecting, Terminal().run, notices)
    else:
        pipe = Pipe(form, stay=stay, count=piping.count, timeout=piping.timeout)
        run(url, connecting, pipe.run, notices)


def _at_terminal() -> bool:
    """Whether a person types, sees what comes, and has a terminal that can do more than print."""
    return os.isatty(STDIN) and os.isatty(STDOUT) and os.environ.get("TERM", "dumb") != "dumb"
