"""
Where a client connects to: a WebSocket URL, taken apart and checked.

Three schemes: ``ws`` and ``wss`` (RFC 6455, section 3), and ``ws+unix`` for a Unix socket, written as other
clients write it: ``ws+unix:/path/of/the.sock:/room``. Without a scheme, ``ws://`` is meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from trioecho.options import OptionError

__all__ = ["Address", "parse_address"]

SENT_AS_THEY_ARE = "/%:@!$&'()*+,;=~?"
"""What a path and query may hold unquoted (RFC 3986, 3.3 and 3.4); a ``%`` is taken to begin an escape."""


@dataclass(frozen=True, slots=True)
class Address:
    """
    One place to connect to.

    ``host`` and ``port`` are for TCP and empty for a Unix socket, whose path is ``unix``. ``resource`` is the
    request target, path and query, percent-encoded. ``user`` and ``password`` come from the URL, decoded.
    """

    tls: bool
    host: str
    port: int
    resource: str
    unix: str | None = None
    user: str | None = None
    password: str = ""

    @property
    def host_header(self) -> str:
        """The Host field: the port is left out where it is the scheme's own (RFC 9110, section 7.2)."""
        if self.unix is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        """As a person may see it: never with the password."""
        if self.unix is not None:
            return f"ws+unix:{self.unix}:{self.resource}"
        return f"{'wss' if self.tls else 'ws'}://{self.host_header}{self.resource}"


def parse_address(url: str) -> Address:
    """
    Take a URL apart.

    Raises:
        OptionError: ``url`` is not a WebSocket URL; the sentence says what is wrong with it.

    """
    if not url or re.search(r"[\x00-\x20\x7f]", url):
        # urlsplit would drop newlines and tabs without a word.
        raise _wrong(url, "is empty, or has blanks or control characters in it")
    if "#" in url:
        raise _wrong(url, "has a fragment (#), which WebSocket URLs cannot have")
    if url.startswith("ws+unix:"):
        return _unix(url)
    if "://" not in url:
        url = f"ws://{url}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(url, f"cannot be read: {error}") from None
    if parts.scheme not in ("ws", "wss"):
        raise _wrong(url, "must begin with ws://, wss:// or ws+unix:")
    if not host:
        raise _wrong(url, "names no host")
    tls = parts.scheme == "wss"
    return Address(
        tls=tls,
        host=_ascii_host(url, host),
        port=port if port is not None else 443 if tls else 80,
        resource=_resource(parts.path, parts.query),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
    )


def _unix(url: str) -> Address:
    path, _, resource = url.removeprefix("ws+unix:").partition(":")
    path = re.sub("^//(?=/)", "", path)
    if not path.startswith("/"):
        raise _wrong(url, "must name the socket by its whole path, as in ws+unix:/run/echo.sock:/room")
    path_part, _, query = resource.partition("?")
    return Address(
        tls=False,
        host="",
        port=0,
        resource=_resource(path_part, query),
        unix=unquote(path),
    )


def _resource(path: str, query: str) -> str:
    target = quote(path, safe=SENT_AS_THEY_ARE) or "/"
    if not target.startswith("/"):
        target = f"/{target}"
    return f"{target}?{quote(query, safe=SENT_AS_THEY_ARE)}" if query else target


def _ascii_host(url: str, host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _wrong(url, "has a host name that is no domain name") from None


def _wrong(url: str, problem: str) -> OptionError:
    return OptionError("url", f"{url!r} {problem}")
