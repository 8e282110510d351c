"""``trioecho client``: talk to a WebSocket server from the shell."""

from __future__ import annotations

import sys
from typing import Annotated

import trio
import typer

from trioecho.cli.errors import Failure
from trioecho.cli.leaving import Interrupted, leaving_at_signals
from trioecho.cli.pipe import Pipe
from trioecho.client import ClientError, open_client
from trioecho.limits import OptionError

__all__ = ["client"]

DEFAULT_URL = "ws://127.0.0.1:7890/"
"""Where `trioecho serve` listens by default."""


def client(
    url: Annotated[
        str, typer.Argument(help="ws://, wss:// or ws+unix:; ws:// may be left out.")
    ] = DEFAULT_URL,
    greet: Annotated[
        str | None, typer.Option("--greet", metavar="TEXT", help="Send this message first.")
    ] = None,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep listening after standard input has ended.")
    ] = False,
) -> None:
    """
    Print each message as a line, and send each line of standard input as a message.

    Text is printed as it is, binary messages in base64. When standard input ends, all of it has been sent
    and the connection is closed politely, unless --stay is given. Ctrl-C leaves politely. Exit codes: 0 fine,
    1 the connection failed or was lost, 2 usage.
    """
    try:
        trio.run(_run, url, greet, Pipe(stay=stay))
    except Interrupted:
        raise typer.Exit(130) from None
    except OptionError as error:
        if error.option == "url":
            raise typer.BadParameter(error.problem, param_hint="URL") from None
        raise
    except ClientError as error:
        raise Failure(str(error)) from None


async def _run(url: str, greet: str | None, pipe: Pipe) -> None:
    async with leaving_at_signals() as leaving, open_client(url) as connected:
        sys.stderr.write(f"connected to {connected.address}\n")
        with leaving.politely():
            if greet is not None:
                await connected.send(greet)
            await pipe.run(connected)
