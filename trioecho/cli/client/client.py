"""``trioecho client``: talk to a WebSocket server, from a terminal or in a pipe."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from trioecho.cli.client.connect_options import Connecting
from trioecho.cli.client.notices import Notices
from trioecho.cli.client.pipe import Pipe
from trioecho.cli.client.pipe_options import ENDING, Piping
from trioecho.cli.client.run import room_of, visit
from trioecho.cli.option_groups import spread
from trioecho.cli.stdio import STDIN, STDOUT

__all__ = ["client"]

DEFAULT_URL = "ws://127.0.0.1:7890/"
"""Where `trioecho serve` listens by default."""


@spread(piping=Piping, connecting=Connecting)
def client(
    *,
    url: Annotated[
        str, typer.Argument(help="ws://, wss:// or ws+unix:/path.sock:/room; ws:// may be left out.")
    ] = DEFAULT_URL,
    stay: Annotated[
        bool,
        typer.Option("--stay", rich_help_panel=ENDING, help="Go on when standard input has ended."),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notices on standard error but warnings.")
    ] = False,
    piping: Piping,
    connecting: Connecting,
) -> None:
    """
    Talk to a WebSocket server: print each message as a line, send each line of standard input as a message.

    At a terminal there is a prompt with editing and history; /help tells its commands.

    Text is printed as it is, binary messages in base64. When standard input ends, all of it has been sent and
    the connection is closed politely, unless --stay, --count or --timeout say when to end. Ctrl-C leaves
    politely, twice at once. Nothing but messages goes to standard output.

    Exit codes: 0 fine (the server closed with 1000, or we did), 1 the connection failed or was lost, 2 usage,
    130 left at once.
    """
    form, notices = piping.form(room_of(url)), Notices(quiet=quiet)
    if piping == Piping() and _at_terminal():
        # Only here, because it takes as long to load as all the rest.
        from trioecho.cli.client.terminal import Terminal

        visit(url, connecting, Terminal().run, notices)
    else:
        pipe = Pipe(form, stay=stay, count=piping.count, timeout=piping.timeout)
        visit(url, connecting, pipe.run, notices)


def _at_terminal() -> bool:
    """Whether a person types, sees what comes, and has a terminal that can do more than print."""
    return os.isatty(STDIN) and os.isatty(STDOUT) and os.environ.get("TERM", "dumb") != "dumb"
