"""
The page that a browser gets for a room: one file in the package, and in it what the page must know.

Only that differs from room to room; it stands in an attribute, as JSON. The page's one script and one style
are named in its policy by their hashes, so nothing else can run in it, wherever it came from.
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files

from trioecho.http.gzip import GZIP, Joint
from trioecho.http.response import Response
from trioecho.settings import Settings
from trioecho.web.page_headers import page_headers
from trioecho.web.usage import public_address

__all__ = ["Page"]

HTML = "text/html; charset=utf-8"

FACTS = 'data-facts=""'
"""Where the file leaves room for what the page must know."""


class Page:
    """
    The page, read from the package once.

    ``names``: whether those who come in may have names, so that it pays to ask who is there.
    """

    def __init__(self, *, names: bool = False) -> None:
        self._names = names
        html = files("trioecho.web").joinpath("page.html").read_text(encoding="utf-8")
        self._before, found, self._after = html.partition(FACTS)
        assert found, "the page has no place for its facts"
        self._headers = page_headers(html)
        self._compressed = Joint(self._before.encode(), self._after.encode())

    def response(self, room: str, settings: Settings, *, gzip: bool = False) -> Response:
        """
        Return the page for ``room``, perhaps as gzip.

        It is told the room's name, from which it learns what a proxy puts before it; who gets a message;
        and which of the other ways in there are.
        """
        facts = {
            "room": room,
            "address": None if settings.public_url is None else public_address(room, settings.public_url),
            "to": settings.to,
            "events": settings.events,
            "stats": settings.stats,
            "token": settings.takes_tokens,
            "names": self._names and settings.presence,
            # Where everybody gets what is theirs alone, a room has no one count of messages.
            "heads": settings.to != "sender",
            "maxMessageSize": settings.max_message_size,
        }
        attribute = f'data-facts="{escape(json.dumps(facts))}"'
        if gzip:
            return Response(200, self._compressed.around(attribute.encode()), HTML, (*self._headers, GZIP))
        return Response(200, f"{self._before}{attribute}{self._after}".encode(), HTML, self._headers)
