"""The options of every command that connects to a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from trioecho.cli.client.credentials import authorization, bearer, cookie_header, parse_header
from trioecho.cli.client.tls import ssl_context
from trioecho.cli.parsing import size, size_text
from trioecho.cli.typer_options import count, option, seconds
from trioecho.client import ClientOptions, Options, Reconnect
from trioecho.client.token import TokenAs

__all__ = ["URL_HELP", "Connecting"]

URL_HELP = """\
ws://HOST:PORT/ROOM, wss://HOST/ROOM or ws+unix:/PATH.sock:/ROOM; without a scheme, ws:// is meant.\
"""

DEFAULTS, POLICY = ClientOptions(), Reconnect()

MESSAGES, REQUEST, TLS, NETWORK, STAYING, LIMITS = (
    "Messages",
    "Request",
    "TLS",
    "Network",
    "Staying connected",
    "Limits",
)


@dataclass(frozen=True, kw_only=True)
class Connecting:
    """How to connect, as the command line says it, by the options' names. ``repr()`` shows no secrets."""

    greet: Annotated[
        str | None, option(MESSAGES, "Send this first on every connection.", "--greet", metavar="TEXT")
    ] = field(default=None, repr=False)
    header: Annotated[
        list[str],
        option(REQUEST, "Add a header. May be repeated.", "--header", "-H", metavar="'NAME: VALUE'"),
    ] = field(default_factory=list, repr=False)
    subprotocol: Annotated[
        list[str],
        option(
            REQUEST,
            "Offer a subprotocol, the preferred one first. May be repeated.",
            "--subprotocol",
            "-s",
            metavar="NAME",
        ),
    ] = field(default_factory=list)
    token: Annotated[
        str | None,
        option(
            REQUEST,
            "Bearer token. Other users can see it on a command line; the variable or a file is safer.",
            "--token",
            envvar="TRIOECHO_TOKEN",
            metavar="TEXT",
        ),
    ] = field(default=None, repr=False)
    token_file: Annotated[
        Path | None,
        option(
            REQUEST,
            "Read the bearer token from a file, again for each connection.",
            "--token-file",
            metavar="FILE",
        ),
    ] = None
    token_as: Annotated[
        TokenAs,
        option(REQUEST, "Send the token in the Authorization header, or as a subprotocol.", "--token-as"),
    ] = "header"
    user: Annotated[
        str | None,
        option(
            REQUEST,
            "Name and password for Basic authentication.",
            "--user",
            "-u",
            envvar="TRIOECHO_USER",
            metavar="NAME:PASSWORD",
        ),
    ] = field(default=None, repr=False)
    cookie: Annotated[
        list[str],
        option(REQUEST, "Send a cookie. May be repeated.", "--cookie", metavar="NAME=VALUE"),
    ] = field(default_factory=list, repr=False)
    origin: Annotated[
        str | None, option(REQUEST, "Send this Origin, as a browser would.", "--origin", metavar="URL")
    ] = None
    cacert: Annotated[
        Path | None,
        option(
            TLS,
            "Trust the authorities in this file (PEM) instead of the system's.",
            "--cacert",
            metavar="FILE",
        ),
    ] = None
    cert: Annotated[
        Path | None,
        option(TLS, "Client certificate (PEM); may include its key.", "--cert", metavar="FILE"),
    ] = None
    key: Annotated[
        Path | None, option(TLS, "Key of the client certificate (PEM).", "--key", metavar="FILE")
    ] = None
    insecure: Annotated[
        bool,
        option(TLS, "Trust any certificate: anyone in between can read and change messages.", "--insecure"),
    ] = False
    proxy: Annotated[
        str | None,
        option(
            NETWORK,
            "HTTP proxy to use instead of the environment's (https_proxy, ...).",
            "--proxy",
            metavar="URL",
        ),
    ] = field(default=None, repr=False)
    no_proxy: Annotated[bool, option(NETWORK, "Connect without a proxy.", "--no-proxy")] = False
    ipv4: Annotated[bool, option(NETWORK, "Use IPv4 only.", "--ipv4", "-4")] = False
    ipv6: Annotated[bool, option(NETWORK, "Use IPv6 only.", "--ipv6", "-6")] = False
    no_compress: Annotated[
        bool, option(NETWORK, "Don't offer the server to compress what it sends.", "--no-compress")
    ] = False
    connect_timeout: Annotated[
        float, seconds(NETWORK, "How long connecting may take, with the handshake.", "--connect-timeout")
    ] = DEFAULTS.connect_timeout
    close_timeout: Annotated[float, seconds(NETWORK, "How long closing may take.", "--close-timeout")] = (
        DEFAULTS.close_timeout
    )
    ping_interval: Annotated[
        float, seconds(NETWORK, "How often to ping the server; 0: never.", "--ping-interval")
    ] = DEFAULTS.ping_interval
    ping_timeout: Annotated[
        float, seconds(NETWORK, "How long a ping may stay unanswered; 0: no pings.", "--ping-timeout")
    ] = DEFAULTS.ping_timeout
    reconnect: Annotated[
        bool,
        option(STAYING, "Reconnect when the connection is lost or cannot be opened yet.", "--reconnect"),
    ] = False
    reconnect_attempts: Annotated[
        int | None,
        count(
            STAYING,
            "Give up after so many failed attempts in a row; without it, never.",
            "--reconnect-attempts",
        ),
    ] = POLICY.attempts
    reconnect_delay: Annotated[
        float,
        seconds(STAYING, "Wait at most so long before the first attempt; doubles.", "--reconnect-delay"),
    ] = POLICY.first_delay
    reconnect_max_delay: Annotated[
        float, seconds(STAYING, "Never wait longer, unless Retry-After asks for it.", "--reconnect-max-delay")
    ] = POLICY.longest_delay
    max_message_size: Annotated[
        int,
        option(
            LIMITS,
            "Largest message to receive.",
            "--max-message-size",
            metavar="SIZE",
            parser=size,
            show_default=size_text(DEFAULTS.max_message_size),
        ),
    ] = DEFAULTS.max_message_size

    def options(self) -> Options:
        """
        Return them as ``open_client()`` takes them.

        Raises:
            typer.BadParameter: they contradict each other, or a file cannot be used.
            OptionError: a value is out of its bounds.

        """
        if self.ipv4 and self.ipv6:
            raise typer.BadParameter("-4 and -6 exclude each other")
        if self.proxy and self.no_proxy:
            raise typer.BadParameter("--proxy and --no-proxy exclude each other")
        token = bearer(self.token, self.token_file)
        if token is not None and self.user is not None:
            raise typer.BadParameter("a token and --user exclude each other")
        ip_version: Literal[4, 6] | None = 4 if self.ipv4 else 6 if self.ipv6 else None
        return Options(
            headers=[
                *(parse_header(given) for given in self.header),
                *authorization(self.user),
                *cookie_header(self.cookie),
                *([("Origin", self.origin)] if self.origin is not None else []),
            ],
            subprotocols=self.subprotocol,
            token=token,
            token_as=self.token_as,
            ssl_context=ssl_context(self.cacert, self.cert, self.key, insecure=self.insecure),
            proxy=self.proxy or not self.no_proxy,
            ip_version=ip_version,
            connect_timeout=self.connect_timeout,
            close_timeout=self.close_timeout,
            ping_interval=self.ping_interval,
            ping_timeout=self.ping_timeout,
            max_message_size=self.max_message_size,
            compress=not self.no_compress,
            greeting=self.greet,
            reconnect=self._policy(),
        )

    def _policy(self) -> Reconnect | None:
        if not self.reconnect:
            return None
        return Reconnect(
            first_delay=self.reconnect_delay,
            longest_delay=max(self.reconnect_delay, self.reconnect_max_delay),
            attempts=self.reconnect_attempts,
        )
