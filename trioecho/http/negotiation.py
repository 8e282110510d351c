"""What a client offers or accepts, and what it gets: the type of a response, and a subprotocol."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trioecho.http.request import Request
from trioecho.http.response import HTTPError, error_response
from trioecho.protocol.head import SUBPROTOCOL

__all__ = ["choose_subprotocol", "offered_subprotocols", "preferred_type"]

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""The name of a subprotocol (RFC 6455, 4.1; RFC 9110, 5.6.2)."""

CREDENTIAL = "bearer."
"""What an offered subprotocol begins with that is a token, because browsers' WebSockets send no headers."""

OWN_SUBPROTOCOL = "trioecho"
"""What a client may offer beside a token: a browser ends a connection for which nothing was chosen."""


def preferred_type(accept: str | None, offered: Sequence[str], otherwise: str) -> str | None:
    """
    Return the type that the header ``accept`` prefers (RFC 9110, 12.5.1); ``None``: it accepts none of them.

    A type of ``offered`` must be named: ``*/*`` is what every client says, and gets ``otherwise``. Between
    equals the order of ``offered`` decides.
    """
    if accept is None:
        return otherwise
    weights = dict([_range(part) for part in accept.split(",")])
    best, most = None, 0.0
    for name in offered:
        weight = weights.get(name, 0.0)
        if weight > most:
            best, most = name, weight
    for name in (otherwise, otherwise.partition("/")[0] + "/*", "*/*"):
        if name in weights:
            return otherwise if weights[name] > most else best
    return best


def offered_subprotocols(request: Request) -> tuple[str, ...]:
    """
    Return the subprotocols that a client offers, the one it likes best first (RFC 6455, 4.1).

    Raises:
        HTTPError: the header holds something that is not a token, one token twice, or nothing.

    """
    values = request.values("sec-websocket-protocol")
    offered = [name.strip(" \t") for value in values for name in value.split(",")]
    if any(TOKEN.fullmatch(name) is None for name in offered) or len(set(offered)) < len(offered):
        raise HTTPError(error_response(400, "Sec-WebSocket-Protocol must be a list of different tokens."))
    return tuple(offered)


def choose_subprotocol(offered: Sequence[str], spoken: Sequence[str], *, heads: bool = True) -> str | None:
    """
    Return the first of ``offered`` that is one of ``spoken``, or ``None``.

    ``trioecho.v1`` is one that is always spoken, or with ``heads=False`` never.

    With nothing listed as spoken it is the first that was offered: a relay speaks whatever its clients agree
    on, and a browser gives up when it has offered some and none is chosen. What begins with ``bearer.`` is
    a credential that a browser can send no other way, and is never echoed; what the page offers beside one,
    to have something that can be chosen, is always spoken.
    """
    for name in offered:
        if name == SUBPROTOCOL:
            if heads:
                return name
        elif not name.startswith(CREDENTIAL) and (not spoken or name in spoken):
            return name
    if OWN_SUBPROTOCOL in offered:
        return OWN_SUBPROTOCOL
    return None


def _range(part: str) -> tuple[str, float]:
    """Split one element of the header into the media range and its weight, 1 if it has none."""
    name, *parameters = part.split(";")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return name.strip().lower(), min(max(float(value), 0.0), 1.0)
            except ValueError:
                return name.strip().lower(), 0.0
    return name.strip().lower(), 1.0
