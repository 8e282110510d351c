"""
Every number and policy of a client: its name, unit, default and reason, checked once, here.

``open_client()`` and the command line take the same names.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from trioecho.client.dial import IPVersion
from trioecho.client.header import TOKEN, check_header
from trioecho.client.proxy import parse_proxy
from trioecho.client.reconnect import Reconnect
from trioecho.client.state import Change
from trioecho.client.token import Token, TokenAs, check_token
from trioecho.limits import GIB, LONGEST_WAIT, MIB
from trioecho.options import OptionError

__all__ = ["ClientOptions", "Options"]


class Options(TypedDict, total=False):
    """The options of a client as keyword arguments; :class:`ClientOptions` says what each one means."""

    headers: Sequence[tuple[str, str]]
    subprotocols: Sequence[str]
    token: Token | None
    token_as: TokenAs
    ssl_context: ssl.SSLContext | None
    connect_timeout: float
    close_timeout: float
    ping_interval: float
    ping_timeout: float
    max_message_size: int
    compress: bool
    proxy: str | bool
    ip_version: IPVersion | None
    greeting: str | bytes | None
    reconnect: Reconnect | None
    resume: bool
    on_change: Callable[[Change], None] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientOptions:
    """
    What a client sends, allows and waits for. Sizes are bytes, times are seconds. ``repr()`` shows no secret.

    Raises:
        OptionError: a value is of the wrong type or out of its bounds.

    """

    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    """Header fields to add to the handshake, in this order; a name may come twice."""

    subprotocols: Sequence[str] = ()
    """Subprotocols to offer, the preferred one first; the server picks one or none."""

    token: Token | None = field(default=None, repr=False)
    """
    The bearer token to present. A function is called at every attempt to connect, and must not block; with
    ``reconnect`` the client then comes back at once when the server closes with 4401 (the token has expired),
    and after a while when the new one is refused. It may raise :class:`ConnectFailed`.
    """

    token_as: TokenAs = "header"
    """
    Where the token goes: in the ``Authorization`` header, or as the subprotocol ``bearer.TOKEN``, for servers
    and proxies that see no such header. The token then is made of letters, digits and ``!#$%&'*+-.^_`|~``.
    """

    ssl_context: ssl.SSLContext | None = None
    """For ``wss`` URLs. None: the system's certificate authorities, and the name must match."""

    connect_timeout: float = 10.0
    """From resolving the host's name to the end of the handshake."""

    close_timeout: float = 10.0
    """
    How long closing may take, from ``close()`` or leaving the block until the socket is free, whatever the
    server does; and how long the server may meanwhile take nothing of what is still to be sent. Where more
    than 128 KiB are, closing may take another second for each 64 KiB. Time in which the program does not take
    the messages that still come does not count.
    """

    ping_interval: float = 20.0
    """A ping is sent this often; 0 turns pings off. 20 s keeps most proxies (60 s) from hanging up."""

    ping_timeout: float = 20.0
    """A server that neither sends nor takes a byte for so long after a ping is dead; 0 turns pings off."""

    max_message_size: int = MIB
    """
    The largest message taken from the server, in bytes of payload; a larger one ends the connection with
    close code 1009. A compressed one counts as it is when it is inflated.
    """

    compress: bool = True
    """
    Offer the server to compress what it sends (permessage-deflate). What the client sends stays plain. A
    connection on which messages refer back to earlier ones takes some 40 KiB more.
    """

    proxy: str | bool = field(default=True, repr=False)
    """
    An HTTP proxy to tunnel through, as ``http://user:password@host:port``; True: what the environment says
    (``https_proxy``, ``http_proxy``, ``all_proxy``, ``no_proxy``); False: none.
    """

    ip_version: IPVersion | None = None
    """Use only IPv4 or only IPv6; None: whichever answers first."""

    greeting: str | bytes | None = field(default=None, repr=False)
    """A message to send first, on every connection."""

    reconnect: Reconnect | None = None
    """
    Reconnect by this policy when the connection is lost or cannot be opened; None: don't. Meanwhile
    ``send()`` and ``receive()`` wait. Messages of which nothing has been written are sent after the greeting
    of the next connection; those in the write that failed, and those the network had taken, may be lost.
    """

    resume: bool = False
    """
    Offer ``trioecho.v1`` before the other subprotocols, and come back to the place where the last connection
    was lost, so that no message is missed; or ``on_change`` is told by ``Missed`` how many are. With a server
    that does not speak it, nothing is different.
    """

    on_change: Callable[[Change], None] | None = None
    """
    Called on every change of state, from the client's own task: it must not block, and its exceptions end the
    client.
    """

    def __post_init__(self) -> None:
        """Check every value, so that nothing further in has to."""
        for header in self.headers:
            check_header(header)
        if isinstance(self.subprotocols, str):
            raise OptionError("subprotocols", "must be a sequence of names, not one str")
        for name in self.subprotocols:
            if not isinstance(name, str) or not name or not set(name) <= TOKEN:
                raise OptionError("subprotocols", f"must be names of letters, digits and -._, not {name!r}")
        check_token(self.token, self.token_as)
        if self.token is not None and any(name.lower() == "authorization" for name, _ in self.headers):
            raise OptionError("token", "and an Authorization header are two ways to say who you are: use one")
        if self.ssl_context is not None and not isinstance(self.ssl_context, ssl.SSLContext):
            raise OptionError("ssl_context", f"must be an ssl.SSLContext, not {self.ssl_context!r}")
        _seconds("connect_timeout", self.connect_timeout, 0.01)
        _seconds("close_timeout", self.close_timeout, 0.0)
        _seconds("ping_interval", self.ping_interval, 0.01, off=True)
        _seconds("ping_timeout", self.ping_timeout, 0.01, off=True)
        size = self.max_message_size
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= GIB:
            raise OptionError("max_message_size", f"must be a whole number from 1 to {GIB}, not {size!r}")
        if isinstance(self.greeting, str):
            try:
                self.greeting.encode()
            except UnicodeEncodeError:
                raise OptionError("greeting", "must be text that UTF-8 can encode") from None
        elif self.greeting is not None and not isinstance(self.greeting, bytes):
            raise OptionError("greeting", f"must be str or bytes, not {type(self.greeting).__name__}")
        for flag in ("compress", "resume"):
            if not isinstance(value := getattr(self, flag), bool):
                raise OptionError(flag, f"must be True or False, not {value!r}")
        if not isinstance(self.proxy, bool):
            parse_proxy(self.proxy)
        if self.ip_version not in (None, 4, 6):
            raise OptionError("ip_version", f"must be 4, 6 or None, not {self.ip_version!r}")

    @property
    def pings(self) -> bool:
        """Whether keepalive pings are sent."""
        return bool(self.ping_interval and self.ping_timeout)


def _seconds(option: str, value: Any, low: float, *, off: bool = False) -> None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        if low <= value <= LONGEST_WAIT or (off and value == 0):
            return
    zero = "0 (off) or " if off else ""
    raise OptionError(option, f"must be {zero}seconds from {low:g} to {LONGEST_WAIT:g}, not {value!r}")
