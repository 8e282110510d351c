"""
Text from the network on its way to a person: it must not move a terminal or break a line of a log.

A message, a close reason, the body of a rejection: whoever sends them chooses every character, and a terminal
obeys escape sequences (ECMA-48) wherever it finds them.
"""

from __future__ import annotations

import re

__all__ = ["escape", "escape_json", "quote"]

UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Control characters (C0, DEL, C1) except newline and tab, and what changes the direction of writing."""

IN_TEXT = re.compile(f"[{UNSAFE}]")
IN_LINE = re.compile(f"[{UNSAFE}\n\t]")


def escape(text: str) -> str:
    """Return the text with everything that a terminal would obey replaced, as in a Python string."""
    return IN_TEXT.sub(_python_escape, text)


def quote(text: str, most: int) -> str:
    """Return text to be quoted within a line: also without newlines, and at most ``most`` characters."""
    cut = f"{text[:most]}…" if len(text) > most else text
    return IN_LINE.sub(_python_escape, cut)


def escape_json(text: str) -> str:
    r"""Return a JSON document with the same characters as ``\uXXXX``, which every JSON parser reads back."""
    return IN_TEXT.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _python_escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
