"""``trioecho send``: send messages to a WebSocket server, and leave."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

import trio
import typer

from trioecho.cli.client.connect_options import MESSAGES, URL_HELP, Connecting
from trioecho.cli.client.formats import as_text
from trioecho.cli.client.notices import Notices
from trioecho.cli.client.records import MAX_RECORD
from trioecho.cli.client.run import run
from trioecho.cli.errors import Failure
from trioecho.cli.option_groups import spread
from trioecho.cli.stdio import STDIN
from trioecho.client import Client, ConnectionClosed
from trioecho.system_errors import reason_of

__all__ = ["send"]


@spread(connecting=Connecting)
def send(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help=URL_HELP)],
    messages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MESSAGE", help="A message; without any, all of standard input is sent as one."
        ),
    ] = None,
    binary: Annotated[
        bool,
        typer.Option(
            "--binary", "-b", rich_help_panel=MESSAGES, help="Send binary messages instead of text."
        ),
    ] = False,
    connecting: Connecting,
) -> None:
    """
    Send each MESSAGE, close the connection, and print nothing.

    Exit code 0 means that the server took everything and answered our close frame; 1 that the connection
    failed or was lost; 2 that the command was wrong.
    """
    contents: list[str | bytes] = [
        message.encode(errors="surrogateescape") if binary else as_argument(message)
        for message in messages or []
    ]
    if not contents:
        contents.append(_standard_input(binary=binary))

    async def work(client: Client) -> None:
        async with trio.open_nursery() as nursery:
            # Nobody wants what comes meanwhile, but a server that cannot get rid of it might stop reading.
            nursery.start_soon(_ignore, client)
            for content in contents:
                await client.send(content)
            await client.close()
            nursery.cancel_scope.cancel()
        ended = client.close_info
        if ended is not None and (not ended.by_us or ended.unsent):
            raise Failure(str(ended.error()))

    run(url, connecting, work, Notices(quiet=True))


async def _ignore(client: Client) -> None:
    with suppress(ConnectionClosed):
        while True:
            await client.receive_batch()


def as_argument(message: str) -> str:
    """Take an argument as text; Python keeps bytes that are none as surrogates."""
    try:
        return as_text(message.encode(errors="surrogateescape"))
    except ValueError as error:
        raise typer.BadParameter(f"a message {error}") from None


def _standard_input(*, binary: bool) -> str | bytes:
    try:
        with open(STDIN, "rb", closefd=False) as file:
            content = file.read(MAX_RECORD + 1)
    except OSError as error:
        raise Failure(f"standard input cannot be read: {reason_of(error)}") from None
    if len(content) > MAX_RECORD:
        raise Failure(f"standard input is longer than {MAX_RECORD} bytes")
    try:
        return content if binary else as_text(content)
    except ValueError as error:
        raise Failure(f"standard input {error}") from None
