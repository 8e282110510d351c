"""
A place in what a room has said: after how many messages of which epoch.

Every room numbers its messages from 1. A place is written ``k3x9f2aa-1042``: after the 1,042nd message of the
epoch ``k3x9f2aa``. An epoch is one unbroken count: it ends with the server, or when the room has been
forgotten. So a place of another epoch says nothing about how much has been said since.
"""

from __future__ import annotations

import os
import re
from base64 import b32encode
from typing import NamedTuple

from trioecho.protocol.escape import quote

__all__ = ["Place", "PlaceError", "new_epoch", "parse_place"]

PLACE = re.compile(r"([a-z0-9]{8})-(0|[1-9][0-9]{0,14})")
"""An offset has at most 15 digits, so that it is an exact number in JavaScript too (below 2**53)."""

QUOTED_LENGTH = 40
"""How much of a wrong place an error quotes (characters)."""


class PlaceError(ValueError):
    """A text is not a place; it says what a place looks like."""


class Place(NamedTuple):
    """After ``offset`` messages of ``epoch``."""

    epoch: str
    offset: int

    def __str__(self) -> str:
        """As it is written in URLs, headers and the ids of events."""
        return f"{self.epoch}-{self.offset}"


def new_epoch() -> str:
    """Return the name of a new epoch: 8 letters and digits that nobody has seen before (40 random bits)."""
    return b32encode(os.urandom(5)).decode().lower()


def parse_place(text: str) -> Place:
    """
    Parse a place.

    Raises:
        PlaceError: ``text`` is not one.

    """
    found = PLACE.fullmatch(text)
    if found is None:
        shown = quote(text[: QUOTED_LENGTH + 1], QUOTED_LENGTH)
        raise PlaceError(
            f"a place is 8 letters and digits, a dash and a number, as in k3x9f2aa-1042, not {shown}"
        )
    return Place(found[1], int(found[2]))
