"""``trioecho listen``: print what a WebSocket server sends."""

from __future__ import annotations

from typing import Annotated

import typer

from trioecho.cli.client.connect_options import URL_HELP, Connecting
from trioecho.cli.client.notices import Notices
from trioecho.cli.client.pipe import Pipe
from trioecho.cli.client.pipe_options import Piping
from trioecho.cli.client.run import room_name, run
from trioecho.cli.option_groups import spread

__all__ = ["listen"]


@spread(piping=Piping, connecting=Connecting)
def listen(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help=URL_HELP)],
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No notices on standard error but warnings.")
    ] = False,
    piping: Piping,
    connecting: Connecting,
) -> None:
    """
    Print each message as a line, until the server closes the connection or a signal comes.

    Like `trioecho client --stay`, but standard input is not read. The exit codes are the same. With
    `--reconnect` nothing is missed that a trioecho server remembers, and what is missed is said.
    """
    form = piping.form(room_name(url))
    pipe = Pipe(form, stay=True, count=piping.count, timeout=piping.timeout, sends=False)
    run(url, connecting, pipe.run, Notices(quiet=quiet), resume=True)
