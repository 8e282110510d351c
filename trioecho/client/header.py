"""A header field that the user adds to a request: what HTTP can carry, and what is not the user's to set."""

from __future__ import annotations

from typing import Any

from trioecho.options import OptionError

__all__ = ["TOKEN", "check_header"]

TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""The characters of a header's name and of a subprotocol (RFC 9110, section 5.6.2)."""

OURS = frozenset(
    [
        "connection",
        "content-length",
        "host",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "transfer-encoding",
        "upgrade",
    ]
)
"""What says where a request goes and where it ends: another would break it."""


def check_header(header: Any) -> None:
    """
    Check a pair of name and value.

    Raises:
        OptionError: no request can carry it, or it is the client's own. No value is quoted: it may be a
            secret, and so may a name that is not one.

    """
    try:
        name, value = header
        fine = not isinstance(header, str) and name and set(name) <= TOKEN and isinstance(value, str)
    except (TypeError, ValueError):
        raise OptionError("headers", "must be pairs of name and value") from None
    if not fine or not value.isprintable() or not value.isascii():
        which = f"the value of {name}" if name and isinstance(name, str) and set(name) <= TOKEN else "a name"
        raise OptionError("headers", f"has {which} wrong: HTTP carries only printable ASCII")
    if name.lower() in OURS:
        raise OptionError("headers", f"cannot set {name}: it belongs to the request itself")
