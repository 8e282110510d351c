"""
Which web pages may talk to the server.

A browser lets any page open a WebSocket to any host, with the visitor's cookies and from inside the visitor's
network, and only says in ``Origin`` which page it was (RFC 6455, 10.2). So the server must look. Who is no
browser can send what it likes, or nothing: the check protects visitors, it does not keep programs out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from trioecho.access.hosts import Authority, asked_host, parse_authority
from trioecho.access.identity import Refusal
from trioecho.http.request import Request
from trioecho.options import OptionError

__all__ = ["SELF", "Origins"]

SELF = "self"
"""The value that stands for pages of the host a request asks for."""

DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}

SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}")
"""Any scheme, because apps have their own, as in ``capacitor://localhost`` (RFC 3986, 3.1)."""


class Origins:
    """
    The origins that are let in.

    Each is one of:

    - ``https://example.com``, ``http://localhost:3000``: this one; a scheme's own port may be left out;
    - ``https://*.example.com``: hosts with one or more labels before this name, not the name itself;
    - ``self``: the same host and port as the request asks for. The scheme is not compared, because TLS may
      end at a proxy;
    - ``*``: every page; nothing is checked.

    The default is ``self`` alone; a list takes its place, so ``self`` is repeated in it where it is wanted.
    Requests without an Origin (command lines, servers) are let in. The origin ``null`` is what a browser
    sends for a page whose origin it hides (a sandboxed frame, a file), which any page can bring about: it is
    let in by ``*`` only.

    Raises:
        OptionError: a value is none of these.

    """

    def __init__(self, allowed: Iterable[str] = (SELF,)) -> None:
        self._exact: set[tuple[str, Authority]] = set()
        self._below: list[tuple[str, str, int | None]] = []
        allowed = tuple(allowed) or (SELF,)
        self._every = "*" in allowed
        self._own = SELF in allowed
        for text in allowed:
            if text not in ("*", SELF):
                self._add(text)

    @property
    def checked(self) -> bool:
        """Whether pages of strangers are kept out; a cookie says nothing about who sends it otherwise."""
        return not self._every

    def check(self, request: Request) -> Refusal | None:
        """Return why the origin of a request is refused, or ``None``."""
        values = request.values("origin")
        if self._every or not values:
            return None
        origin = _parse(values[0].strip()) if len(values) == 1 else None
        if origin is not None and self._lets_in(origin, request):
            return None
        return Refusal(403, "The Origin is not allowed: pages from there are not let in (--origin adds one).")

    def _lets_in(self, origin: tuple[str, Authority], request: Request) -> bool:
        scheme, authority = origin
        if origin in self._exact:
            return True
        if self._own and (host := asked_host(request)) is not None:
            if _normal(scheme, host) == authority:
                return True
        return any(
            scheme == of and authority.host.endswith(end) and authority.port == port
            for of, end, port in self._below
        )

    def _add(self, text: str) -> None:
        if text == "null":
            raise OptionError(
                "origin", "must not be null, which any page can send: say * if every page may come in"
            )
        before, separator, after = text.partition("://")
        below = after.startswith("*.")
        parsed = _parse(f"{before}{separator}{after.removeprefix('*.')}")
        if parsed is None:
            raise OptionError(
                "origin",
                "must be a scheme and a host and nothing behind them, as in https://example.com,"
                f" https://*.example.com, self or *, not {text!r}",
            )
        scheme, authority = parsed
        if below:
            self._below.append((scheme, f".{authority.host}", authority.port))
        else:
            self._exact.add(parsed)


def _parse(text: str) -> tuple[str, Authority] | None:
    """Take an origin apart (RFC 6454, 7): scheme, and host with the port unless it is the scheme's own."""
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or SCHEME.fullmatch(scheme) is None:
        return None
    authority = parse_authority(rest)
    return None if authority is None else (scheme, _normal(scheme, authority))


def _normal(scheme: str, authority: Authority) -> Authority:
    """Leave out a port that is the scheme's own."""
    if authority.port is not None and authority.port == DEFAULT_PORTS.get(scheme):
        return Authority(authority.host, None)
    return authority
