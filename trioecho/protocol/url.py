"""
Where a client connects to: a WebSocket URL, parsed and checked.

Three schemes: ``ws`` and ``wss`` (RFC 6455, section 3), and ``ws+unix`` for a Unix socket, written as other
clients write it: ``ws+unix:/path/of/the.sock:/room``. Without a scheme, ``ws://`` is meant.

URLs carry secrets (a password, a token in the query). They are sent, and never shown: not by ``str()``, not
by ``repr()``, and not in an error.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from trioecho.options import OptionError

__all__ = ["Address", "basic_credentials", "parse_address"]

SENT_AS_THEY_ARE = "/%:@!$&'()*+,;=~?"
"""What a path and query may hold unquoted (RFC 3986, 3.3 and 3.4); a ``%`` is taken to begin an escape."""

SECRET = re.compile(r"(?i)(?<=[?&;])([^=&;]*(?:token|secret|passw|key|auth|sig|jwt|session)[^=&;]*)=[^&;]+")
"""A query parameter whose name suggests that its value is a secret."""

USER_INFO = re.compile(r"^(\w[\w+.-]*://)?.*@", re.DOTALL)
"""User and password of a URL, and more than that if it is malformed: better too much than half a password."""

LONGEST_SHOWN = 200
"""How much of a wrong URL an error quotes (characters)."""


@dataclass(frozen=True, slots=True)
class Address:
    """
    One place to connect to. ``str()`` shows it without the password and without secrets in the query.

    ``host`` and ``port`` are for TCP and empty for a Unix socket, whose path is ``unix``. ``resource`` is the
    request target, path and query, percent-encoded. ``user`` and ``password`` come from the URL, decoded.
    """

    tls: bool
    host: str
    port: int
    resource: str = field(repr=False)
    unix: str | None = None
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @property
    def host_header(self) -> str:
        """The Host field: the port is left out where it is the scheme's own (RFC 9110, section 7.2)."""
        if self.unix is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of the Authorization field that the URL's user and password make, if it has any."""
        return None if self.user is None else basic_credentials(self.user, self.password)

    @property
    def origin(self) -> str:
        """The URL without path and query: the server, whatever is asked of it."""
        if self.unix is not None:
            return f"ws+unix:{self.unix}"
        return f"{'wss' if self.tls else 'ws'}://{self.host_header}"

    def __str__(self) -> str:
        colon = ":" if self.unix is not None else ""
        return f"{self.origin}{colon}" + SECRET.sub(r"\1=...", self.resource)


def parse_address(url: str) -> Address:
    """
    Parse a URL.

    Raises:
        OptionError: ``url`` is not a WebSocket URL; the sentence says what is wrong with it.

    """
    if not url or re.search(r"[\x00-\x20\x7f-\x9f\ud800-\udfff]", url):
        # urlsplit would drop newlines and tabs without a word.
        raise _wrong(url, "is empty, or contains blanks, control characters or bytes that are not UTF-8")
    if "#" in url:
        raise _wrong(url, "has a fragment (#), which WebSocket URLs cannot have")
    if url.startswith("ws+unix:"):
        return _unix(url)
    if "://" not in url:
        url = f"ws://{url}"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise _wrong(url, "is not a URL: its host cannot be parsed") from None
    if parts.scheme not in ("ws", "wss"):
        raise _wrong(url, "must begin with ws://, wss:// or ws+unix:")
    try:
        port = parts.port
    except ValueError:
        raise _wrong(url, "has a port that is not a number from 1 to 65535") from None
    if not host:
        raise _wrong(url, "names no host")
    if port == 0:
        raise _wrong(url, "has a port that is not a number from 1 to 65535")
    tls = parts.scheme == "wss"
    return Address(
        tls=tls,
        host=_ascii_host(url, host),
        port=port if port is not None else 443 if tls else 80,
        resource=_resource(parts.path, parts.query),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
    )


def basic_credentials(user: str, password: str) -> str:
    """Return the value of an ``Authorization`` field for basic authentication (RFC 7617)."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _unix(url: str) -> Address:
    path, _, resource = url.removeprefix("ws+unix:").partition(":")
    path = re.sub("^//(?=/)", "", path)
    if not path.startswith("/"):
        raise _wrong(url, "must name the socket by its absolute path, as in ws+unix:/run/echo.sock:/room")
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
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _wrong(url, "has a host name that is not a domain name") from None


def _wrong(url: str, problem: str) -> OptionError:
    shown = SECRET.sub(r"\1=...", USER_INFO.sub(r"\1...@", url))
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[:LONGEST_SHOWN]}..."
    return OptionError("url", f"{shown!r} {problem}")
