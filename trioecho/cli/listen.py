"""``trioecho listen``: print what a WebSocket server sends."""

from __future__ import annotations

from typing import Annotated

import typer

from trioecho.cli.connecting import Connecting
from trioecho.cli.notices import Notices
from trioecho.cli.pipe import Pipe
from trioecho.cli.piping import Piping
from trioecho.cli.spread import spread
from trioecho.cli.visit import room_of, visit

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
