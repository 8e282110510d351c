"""
The headers of a page that is one file: its policy lets in its own script and style, and nothing else.

Both are named by their hashes, so nothing else can run in it, wherever it came from.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

from trioecho.http.gzip import VARY_GZIP

__all__ = ["page_headers"]


def page_headers(html: str) -> tuple[tuple[str, str], ...]:
    """Return the headers of a page with one script and one style, which differs by what is accepted."""
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
    return (
        ("Content-Security-Policy", policy),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cache-Control", "no-cache"),
        VARY_GZIP,
    )


def _hash_of(element: str, html: str) -> str:
    """Return the source expression for the content of the page's one ``element`` (CSP level 3, 2.3.1)."""
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", html, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
