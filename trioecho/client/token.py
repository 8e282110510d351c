"""
The token a client presents: which one, and where in the handshake.

It is asked for anew at every attempt to connect, so a client whose token comes from a function is back with a
fresh one when the old one has expired.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from trioecho.client.errors import ConnectFailed
from trioecho.options import OptionError

__all__ = ["BEARER", "Token", "TokenAs", "check_token", "current_token"]

Token = str | Callable[[], str]

TokenAs = Literal["header", "subprotocol"]

BEARER = "bearer."
"""What a subprotocol begins with that is a token."""

CARRIED = {
    "header": (re.compile(r"[!-~]+"), "must be printable ASCII without blanks"),
    "subprotocol": (
        re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"),
        "can't go as a subprotocol: that takes letters, digits and !#$%&'*+-.^_`|~, so no / and no =",
    ),
}
"""What each place can carry (RFC 9110, sections 5.5 and 5.6.2), and what to say of another token."""


def check_token(token: Any, token_as: Any) -> None:
    """
    Check the two options.

    Raises:
        OptionError: one of them cannot be; the sentence does not hold the token.

    """
    if token_as not in CARRIED:
        raise OptionError("token_as", f"must be header or subprotocol, not {token_as!r}")
    if token is None or callable(token):
        return
    if not isinstance(token, str):
        raise OptionError("token", "must be a str, or a function that returns one")
    if problem := _problem(token, token_as):
        raise OptionError("token", problem)


def current_token(token: Token | None, token_as: TokenAs) -> str | None:
    """
    Return the token to present now, or ``None``.

    Raises:
        ConnectFailed: the function that was asked for it gave nothing that can be sent.

    """
    if not callable(token):
        return token
    found = token()
    problem = _problem(found, token_as) if isinstance(found, str) else "must be a str"
    if problem:
        raise ConnectFailed(f"there is no token to present: it {problem}")
    return found


def _problem(token: str, token_as: TokenAs) -> str:
    carried, problem = CARRIED[token_as]
    return "" if carried.fullmatch(token) else problem
