"""
What the address of a request says beside the room's name: from where on it wants the messages, and what else.

``?after=PLACE``, ``Last-Event-ID`` and ``?last=N``; ``?presence=1``.
"""

from __future__ import annotations

from urllib.parse import unquote_plus

from trioecho.http.request import Request
from trioecho.http.response import HTTPError, error_response
from trioecho.rooms.place import Place, PlaceError, parse_place
from trioecho.rooms.since import Since

__all__ = ["since_of", "watches"]

MAX_DIGITS = 9
"""A number of messages has at most so many digits: a thousand times what a room can remember."""

NOWHERE = Place("", 0)
"""A place that no room has ever been at."""

TWICE = error_response(400, "The address says ?after=, ?last= or ?presence= more than once.")
NO_SWITCH = error_response(400, "?presence= must be 1 or 0.")
NO_NUMBER = error_response(400, "?last= must be a whole number of messages, as in ?last=10.")


def since_of(request: Request) -> Since | None:
    """
    Return from where on a request wants messages; ``None``: from now on.

    ``Last-Event-ID`` goes before what the address says, because a browser that comes back sends the same
    address again. One that is no place of ours is like that of a room that has been forgotten: the browser
    has had it from another server, and would not try again after an error.

    Raises:
        HTTPError: what the address says is no place or no number.

    """
    said = _parameters(request.query) if request.query else {}
    after, last = said.get("after"), said.get("last")
    seen = request.header("last-event-id")
    place = None
    if after is not None:
        try:
            place = parse_place(after)
        except PlaceError as error:
            raise HTTPError(error_response(400, f"?after= is wrong: {error}.")) from None
    if last is not None and not (last.isascii() and last.isdigit() and len(last) <= MAX_DIGITS):
        raise HTTPError(NO_NUMBER)
    if seen:
        try:
            place = parse_place(seen)
        except PlaceError:
            place = NOWHERE
    if place is not None:
        return Since(place)
    return None if last is None else Since(last=int(last))


def watches(request: Request) -> bool:
    """
    Return whether a request wants to be told who is in the room.

    Raises:
        HTTPError: the address says neither yes nor no.

    """
    said = _parameters(request.query).get("presence", "0") if request.query else "0"
    if said not in ("0", "1"):
        raise HTTPError(NO_SWITCH)
    return said == "1"


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in ("after", "last", "presence"):
            if name in found:
                raise HTTPError(TWICE)
            found[name] = unquote_plus(value)
    return found
