"""
What our client offers in Sec-WebSocket-Extensions, and what a server may answer (RFC 7692, section 7.1).

The client sends everything plain, which is always allowed (6.1). So what a server asks of a client that
compresses is kept anyway, and the offer is the one that browsers make: servers have seen it before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trioecho.protocol.deflate_offer import BITS, NAME, pairs
from trioecho.protocol.escape import quote

__all__ = ["OFFER", "BadAnswer", "keeps_past"]

OFFER: Final = f"{NAME}; client_max_window_bits"
"""Without the parameter a server could not ask for a smaller window, and some then decline."""

SHOWN = 100
"""How much of a wrong answer an error quotes (characters)."""


class BadAnswer(Exception):
    """The server's answer is none to our offer; the text goes on where a sentence has named the server."""


def keeps_past(values: Sequence[str]) -> bool:
    """
    Return whether the server's messages may refer back to earlier ones.

    ``values`` are those of the answer's fields, at least one.

    Raises:
        BadAnswer: it chose something else than what was offered, or a parameter that cannot be.

    """
    answer = ", ".join(values)
    name, *parameters = [part.strip() for part in answer.split(";")]
    if name.lower() != NAME or "," in answer:
        raise BadAnswer(f"chose the extensions {quote(answer, SHOWN)!r}, and only {NAME} was offered")
    seen: set[str] = set()
    for key, value in pairs(parameters):
        match key, value:
            case "server_no_context_takeover" | "client_no_context_takeover", None:
                fine = True
            case "server_max_window_bits" | "client_max_window_bits", bits:
                fine = bits in BITS  # an inflater of the widest window takes them all
            case _:
                fine = False
        if not fine or key in seen:
            said = key if value is None else f"{key}={value}"
            how = "twice" if fine else "which cannot be"
            raise BadAnswer(f"agreed to compression with the parameter {quote(said, SHOWN)!r} {how}")
        seen.add(key)
    return "server_no_context_takeover" not in seen
