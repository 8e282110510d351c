"""Messages on a terminal: what a server sends must not move the cursor, clear the screen or worse."""

from __future__ import annotations

import re

__all__ = ["visible"]

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but newline and tab, and what turns the direction of writing around."""


def visible(text: str) -> str:
    """The text with everything that a terminal would obey made visible, as Python writes it in a string."""
    return UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
