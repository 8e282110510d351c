"""
What a client offers in Sec-WebSocket-Extensions, and what it is answered (RFC 7692, section 7.1).

An offer is accepted wherever it is valid, also from a client that we will send nothing compressed: what is
sent plain is always allowed (6.1), and the client may compress what it sends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["BITS", "NAME", "Agreement", "agree", "pairs"]

NAME: Final = "permessage-deflate"

WIDEST: Final = 15
"""The window that every implementation has unless it says otherwise (7.1.2): 32 KiB."""

BITS: Final = {str(bits): bits for bits in range(8, WIDEST + 1)}
"""The widths that a parameter may say, as it is written there."""

MAX_OFFERS = 16
"""Offers looked at: a head may hold thousands, and clients send one or two."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """
    Compression as agreed with one client.

    Attributes:
        answer: the header's value. It always forbids the client to refer back to its own earlier messages
            (7.1.1.2), so that nothing is kept for it here.
        shared: whether the client can take what is compressed for everybody. It can't with a smaller window,
            or if it forgets each message, and is then sent nothing compressed.

    """

    answer: str
    shared: bool


def agree(offers: Iterable[str]) -> Agreement | None:
    """Return the first offer that can be shared, or else the first valid one; ``None`` if none is."""
    values = ",".join(offers).split(",")[:MAX_OFFERS]
    possible = [agreement for offer in values if (agreement := _parse(offer)) is not None]
    return next((each for each in possible if each.shared), possible[0] if possible else None)


def _parse(offer: str) -> Agreement | None:
    """Take one offer apart; one with an unknown, doubled or wrong parameter is declined (7.1)."""
    name, *parameters = [part.strip() for part in offer.split(";")]
    if name.lower() != NAME:
        return None
    answer, shared, seen = [NAME, "client_no_context_takeover"], True, set()
    for key, value in pairs(parameters):
        if key in seen:
            return None
        seen.add(key)
        match key, value:
            case "client_no_context_takeover" | "client_max_window_bits", None:
                pass
            case "client_max_window_bits", bits if bits in BITS:
                pass  # a new inflater of the widest window takes them all
            case "server_no_context_takeover", None:
                answer.append(key)
                shared = False
            case "server_max_window_bits", bits if bits in BITS:
                answer.append(f"{key}={bits}")
                shared = shared and BITS[bits] == WIDEST
            case _:
                return None
    return Agreement("; ".join(answer), shared)


def pairs(parameters: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """Take parameters apart: name in lower case, and value, ``None`` if there is none."""
    for parameter in parameters:
        key, separator, value = parameter.partition("=")
        yield key.strip().lower(), value.strip().strip('"') if separator else None
