"""
The page that a browser gets for a room: one file in the package, and in it what the page must know.

Only that differs from room to room; it stands in an attribute, as JSON. The page's one script and one style
are named in its policy by their hashes, so nothing else can run in it, wherever it came from.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files

from trioecho.http.response import Response
from trioecho.settings import Settings
from trioecho.web.usage import public_address

__all__ = ["Page"]

FACTS = 'data-facts=""'
"""Where the file leaves room for what the page must know."""


class Page:
    """The page, read from the package once."""

    def __init__(self) -> None:
        html = files("trioecho.web").joinpath("page.html").read_text(encoding="utf-8")
        self._before, found, self._after = html.partition(FACTS)
        assert found, "the page has no place for its facts"
        policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {_hash_of('script', html)}",
                f"style-src {_hash_of('style', html)}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            ]
        )
        self._headers = (
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept"),
        )

    def response(self, room: str, settings: Settings) -> Response:
        """
        Return the page for ``room``.

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
            "maxMessageSize": settings.max_message_size,
        }
        html = f'{self._before}data-facts="{escape(json.dumps(facts))}"{self._after}'
        return Response(200, html.encode(), "text/html; charset=utf-8", self._headers)


def _hash_of(element: str, html: str) -> str:
    """Return the source expression for the content of the page's one ``element`` (CSP level 3, 2.3.1)."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
