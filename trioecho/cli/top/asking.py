"""Whom ``top`` asks, and how, as the command line says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from trioecho.cli.client.credentials import bearer, parse_header
from trioecho.cli.client.tls import ssl_context
from trioecho.cli.top.http_source import HttpSource, status_address
from trioecho.cli.top.source import Source
from trioecho.engine_url import EngineOption, needing_hiredis
from trioecho.option_kinds import Text
from trioecho.options import Group, OptionError

__all__ = ["Asking", "Sharing"]

REQUEST, TLS = "Request", "TLS"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How to ask a server. ``repr()`` shows no secrets."""

    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="TRIOECHO_TOKEN",
            metavar="TEXT",
            rich_help_panel=REQUEST,
            help="Bearer token, for a proxy that wants one; the variable or a file is safer.",
        ),
    ] = field(default=None, repr=False)
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            rich_help_panel=REQUEST,
            help="Read the bearer token from a file, again for each request.",
        ),
    ] = None
    header: Annotated[
        list[str],
        typer.Option(
            "--header",
            "-H",
            metavar="'NAME: VALUE'",
            rich_help_panel=REQUEST,
            help="Add a header. May be repeated.",
        ),
    ] = field(default_factory=list, repr=False)
    cacert: Annotated[
        Path | None,
        typer.Option(
            "--cacert",
            metavar="FILE",
            rich_help_panel=TLS,
            help="Trust the authorities in this file (PEM) instead of the system's.",
        ),
    ] = None
    cert: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            metavar="FILE",
            rich_help_panel=TLS,
            help="Client certificate (PEM); may include its key.",
        ),
    ] = None
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="FILE", rich_help_panel=TLS, help="Key of the client certificate (PEM)."
        ),
    ] = None
    insecure: Annotated[
        bool, typer.Option("--insecure", rich_help_panel=TLS, help="Trust any certificate.")
    ] = False

    def source(self, url: str) -> Source:
        """
        Return where the status of the server at ``url`` is had from.

        Raises:
            typer.BadParameter, OptionError: the URL or an option can't work.

        """
        token = bearer(self.token, self.token_file)
        headers = [parse_header(given) for given in self.header]
        if token is not None and any(name.lower() == "authorization" for name, _ in headers):
            raise OptionError("token", "and an Authorization header are two ways to say who you are: use one")
        try:
            address = status_address(url)
        except OptionError as error:
            problem = error.problem.replace("ws://, wss:// or ws+unix:", "http://, https:// or ws+unix:")
            raise typer.BadParameter(problem, param_hint="URL") from None
        return HttpSource(
            address,
            token=(lambda: token) if isinstance(token, str) else token,
            headers=headers,
            ssl_context=ssl_context(self.cacert, self.cert, self.key, insecure=self.insecure),
        )


@dataclass(frozen=True, kw_only=True)
class Sharing(Group):
    """Which engine."""

    title: ClassVar = "Engine"

    engine: Annotated[
        str | None,
        EngineOption(
            "Without URL: ask all servers that share this Redis or Valkey. A password in it is safer in a"
            " file or a variable."
        ),
    ] = field(default=None, repr=False)
    """The engine's URL."""

    engine_prefix: Annotated[str, Text("What the servers' keys and channels begin with.")] = "te1"
    """The servers' prefix."""

    def source(self) -> Source | None:
        """
        Return where the status of all servers is had from, if an engine is named.

        Raises:
            OptionError: the URL can't be, or what is needed is not installed.

        """
        if self.engine is None:
            return None
        with needing_hiredis():
            from trioecho.cli.top.engine_source import EngineSource
        return EngineSource(self.engine, self.engine_prefix)
