"""
The token a request presents, wherever it stands.

- ``Authorization: Bearer TOKEN`` (RFC 6750, 2.1): for everything that can set a header.
- WebSocket subprotocol ``bearer.TOKEN``: a browser's WebSocket can set nothing else. It is never among the
  subprotocols a server may choose. A browser that offers subprotocols fails the connection unless one of
  them is chosen, so a page offers the application's own beside it. A subprotocol is made of RFC 9110's
  token characters, so a token with ``/`` or ``=`` in it can't come this way.
- A cookie, if the server was told its name.
- ``?token=TOKEN`` or ``?access_token=TOKEN``, if the server was told to take it: addresses end up in logs.

A request that presents two different ones is refused, because whose it is would depend on who looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from trioecho.access.identity import Refusal
from trioecho.http.request import Request

__all__ = ["CHALLENGE", "BadToken", "Presented", "offered_subprotocols", "presented"]

MAX_TOKEN_CHARS = 8192
"""The longest token that is looked at: a signed one with a long list of rooms still is shorter."""

TOKEN = re.compile(rf"[A-Za-z0-9._~+/-]{{1,{MAX_TOKEN_CHARS}}}={{0,2}}")
"""What a bearer token is made of (RFC 6750, 2.1)."""

BEARER = "bearer."
QUERY_NAMES = ("token", "access_token")

CHALLENGE = ("WWW-Authenticate", "Bearer")
INVALID = ("WWW-Authenticate", 'Bearer error="invalid_request"')

TWO = Refusal(400, "The request presents two different tokens: send one.", (INVALID,))
MALFORMED = Refusal(401, "What the request presents can't be a token.", (INVALID,))
IN_QUERY = Refusal(
    401,
    "A token in the address ends up in logs, so it is not taken from there: send Authorization: Bearer TOKEN,"
    " or start the server with --allow-query-token.",
    (CHALLENGE,),
)

Way = Literal["authorization", "subprotocol", "cookie", "query"]


class BadToken(Exception):
    """A token can't be trusted, or what it claims can't be; the text is a sentence without any of it."""


@dataclass(frozen=True, slots=True)
class Presented:
    """A token, and the way it came; its ``repr`` does not hold the token."""

    token: str = field(repr=False)
    way: Way


def presented(
    request: Request, *, cookie: str | None = None, query: bool = False
) -> Presented | Refusal | None:
    """
    Return the token a request presents, ``None`` if there is none, or why it is refused.

    Args:
        request: the request.
        cookie: the name of a cookie that may hold a token; only right where origins are checked.
        query: whether it may stand in the address.

    """
    found: list[tuple[str, Way]] = [(token, "authorization") for token in _authorization(request)]
    found += [(token, "subprotocol") for token in _subprotocols(request)]
    if cookie is not None:
        found += [(token, "cookie") for token in _cookies(request, cookie)]
    in_query = _query(request)
    if in_query and not query:
        return IN_QUERY
    found += [(token, "query") for token in in_query]
    if not found:
        return None
    if any(TOKEN.fullmatch(token) is None for token, _ in found):
        return MALFORMED
    if len({token for token, _ in found}) > 1:
        return TWO
    return Presented(*found[0])


def offered_subprotocols(request: Request) -> list[str]:
    """Return the subprotocols a client offers (RFC 6455, 4.1), in its order, without a token among them."""
    return [name for name in _offered(request) if not name[: len(BEARER)].lower() == BEARER]


def _offered(request: Request) -> list[str]:
    values = request.values("sec-websocket-protocol")
    names = [name.strip(" \t") for value in values for name in value.split(",")]
    return [name for name in names if name]


def _authorization(request: Request) -> list[str]:
    """Other schemes are not ours: a proxy may have asked for a password of its own."""
    found = []
    for value in request.values("authorization"):
        scheme, _, token = value.strip(" \t").partition(" ")
        if scheme.lower() == "bearer":
            found.append(token.strip(" \t"))
    return found


def _subprotocols(request: Request) -> list[str]:
    return [name[len(BEARER) :] for name in _offered(request) if name[: len(BEARER)].lower() == BEARER]


def _cookies(request: Request, cookie: str) -> list[str]:
    """The values of the cookies of this name (RFC 6265, 4.2.1); an empty one is one that was taken away."""
    found = []
    for value in request.values("cookie"):
        for pair in value.split(";"):
            name, _, content = pair.strip(" \t").partition("=")
            content = content.strip(" \t")
            if len(content) >= 2 and content[0] == content[-1] == '"':
                content = content[1:-1]
            if name.strip(" \t") == cookie and content:
                found.append(content)
    return found


def _query(request: Request) -> list[str]:
    """A plus stays a plus: a token may have one, and never a space."""
    found = []
    for pair in request.query.split("&"):
        name, _, content = pair.partition("=")
        if unquote(name) in QUERY_NAMES:
            found.append(unquote(content))
    return found
