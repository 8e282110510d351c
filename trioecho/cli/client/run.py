"""Run a command with a connection: connect, do its work, close; every failure is one sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import trio
import typer

from trioecho.cli.client.connect_options import Connecting
from trioecho.cli.client.notices import Notices
from trioecho.cli.client.signals import Interrupted, handle_signals
from trioecho.cli.errors import Failure
from trioecho.client import (
    CertificateNotTrusted,
    Client,
    ClientError,
    ClientOptions,
    Options,
    open_client,
    parse_address,
)
from trioecho.options import OptionError

__all__ = ["room_name", "run"]

FLAGS = {
    "attempts": "reconnect-attempts",
    "first_delay": "reconnect-delay",
    "greeting": "greet",
    "headers": "header",
    "longest_delay": "reconnect-max-delay",
    "subprotocols": "subprotocol",
}
"""What options are called on the command line, where that differs from the library's name."""


def run(
    url: str,
    connecting: Connecting,
    work: Callable[[Client], Awaitable[str | None]],
    notices: Notices,
    *,
    resume: bool = False,
) -> None:
    """
    Run a command's work with a connection. SIGINT and SIGTERM end the work and close the connection.

    With ``resume``, a client that reconnects comes back to where it was, if it offers no subprotocol itself.

    If the work returns a room, it is run again with a connection to that.

    Raises:
        Failure: the connection failed or was lost, or the work raised it.
        typer.BadParameter: the URL or an option cannot work.
        typer.Exit: with 130, if a second signal interrupted it.

    """
    try:
        options = connecting.options()
        options["resume"] = resume and connecting.reconnect and not connecting.subprotocol
        ClientOptions(**options)
        if connecting.insecure:
            notices.warn("--insecure: anyone on the network path can read and change what is sent")
        trio.run(_run, url, options, work, notices)
    except OptionError as error:
        if error.option == "url":
            raise typer.BadParameter(error.problem, param_hint="URL") from None
        raise OptionError(FLAGS.get(error.option, error.option), error.problem) from None
    except Interrupted:
        raise typer.Exit(130) from None
    except CertificateNotTrusted as error:
        raise Failure(f"{error} (--cacert FILE trusts its issuer, --insecure trusts anyone)") from None
    except ClientError as error:
        raise Failure(str(error)) from None


async def _run(
    url: str, options: Options, work: Callable[[Client], Awaitable[str | None]], notices: Notices
) -> None:
    room: str | None = None
    async with handle_signals() as signals:
        while True:
            options["on_change"] = partial(notices.change, str(parse_address(url)))
            async with open_client(url, **options) as client:
                with signals.interruptible():
                    room = await work(client)
            if room is None:
                break
            url, room = in_room(url, room), None


def in_room(url: str, room: str) -> str:
    """Return the URL of another room of the same server."""
    path = "/" + quote(room.removeprefix("/"))
    if url.startswith("ws+unix:"):
        return ":".join([*url.split(":")[:2], path])
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def room_name(url: str) -> str:
    """Return the room of a trioecho server that a URL names: its path, decoded."""
    try:
        return unquote(parse_address(url).resource.partition("?")[0])
    except OptionError:
        return "/"  # `run()` says what is wrong with the URL.
