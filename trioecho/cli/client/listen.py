"""``trioecho listen``: print what a WebSocket server sends."""

from __future__ import annotations

from typing import Annotated

import typer

from trioecho.cli.client.connect_options import Connecting
from trioecho.cli.client.notices import Notices
from trioecho.cli.client.pipe import Pipe
from trioecho.cli.client.pipe_options import Piping
from trioecho.cli.client.run import room_of, visit
from trioecho.cli.option_groups import spread

__all__ = ["listen"]


@spread(piping=Piping, connecting=Connecting)
def listen(
    *,
    url: Annotated[
        str, typer.Argument(help="ws://, wss:// or ws+unix:/path.sock:/room; ws:// may be left out.")
    ],
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notices on standard error but warnings.")
    ] = False,
    piping: Piping,
    connecting: Connecting,
) -> None:
    """
    Print each message as a line, until the server is done or a signal comes; read no standard input.

    The same as `trioecho client --stay` with an empty standard input, and with its exit codes.
    """
    pipe = Pipe(piping.form(room_of(url)), stay=True, count=piping.count, timeout=piping.timeout, sends=False)
    visit(url, connecting, pipe.run, Notices(quiet=quiet))
