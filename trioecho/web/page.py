"""
The page that a browser gets for a room: one file in the package, sent as it is.

It is the same for every room and every prefix before it; what it shows it learns from the room itself. Its
one script and one style are named in its policy by their hashes, so nothing else can run in it, wherever
it came from.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from trioecho.http.response import Response

__all__ = ["load_page"]


def load_page() -> Response:
    """Read the page from the package, and make the answer that brings it."""
    html = files("trioecho.web").joinpath("page.html").read_text(encoding="utf-8")
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
    headers = (
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cache-Control", "no-cache"),
        ("Vary", "Accept"),
    )
    return Response(200, html.encode(), "text/html; charset=utf-8", headers)


def _hash_of(element: str, html: str) -> str:
    """Return the source expression for what stands in the page's one ``element`` (CSP level 3, 2.3.1)."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
