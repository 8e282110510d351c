"""
Patterns of room names: ``/news``, ``/news/*``, ``/news/**``.

A name is a path: segments set apart by slashes. In a pattern

- ``*`` stands for any characters within a segment, none included: ``/news/*`` is every room one segment
  below ``/news``, ``/team-*`` every room of one segment that begins so;
- ``**`` in the place of a whole segment stands for one or more segments: ``/news/**`` is every room below
  ``/news`` however deep (not ``/news`` itself: give both), ``/**`` is every room there is;
- everything else stands for itself, capitals apart from small letters.

A name costs one step a character whatever the pattern: each step moves all the places in the pattern where
the match could be, as bits of one number, so there is nothing to backtrack (a regular expression with several
stars would). A room's name has at most 255 bytes, so the number never has more bits than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from trioecho.limits import MAX_ROOM_NAME_BYTES

__all__ = ["PatternError", "Patterns"]

MAX_PATTERNS = 100
"""Patterns in one list: each is tried at every question, and a stranger's signed token may bring them."""


class PatternError(ValueError):
    """
    A pattern can match no room; the text is the rest of a sentence: ``must begin with a slash``.

    It never holds the pattern: in a line of a token file, what stands in its place may be a secret.
    """


class _Pattern:
    """One pattern, compiled; bit n of a number is set while the match may stand after n literals."""

    __slots__ = ("_accept", "_anything", "_literals", "_segment")

    def __init__(self, text: str) -> None:
        self._literals: dict[str, int] = {}
        # Places where any character, or any but a slash, leaves the match where it is: before a `**` or `*`.
        self._anything = self._segment = 0
        place = 1
        for piece in _pieces(text):
            if piece == "**":
                self._anything |= place
            elif piece == "*":
                self._segment |= place
            else:
                self._literals[piece] = self._literals.get(piece, 0) | place
                place <<= 1
        self._accept = place

    def matches(self, name: str) -> bool:
        """Whether the whole name matches, in one step a character."""
        at, anything, within = 1, self._anything, self._anything | self._segment
        literals = self._literals
        for character in name:
            at = ((at & literals.get(character, 0)) << 1) | (at & (anything if character == "/" else within))
            if not at:
                return False
        return bool(at & self._accept)


def _pieces(text: str) -> Iterable[str]:
    """Take a pattern apart into characters, ``*`` and ``**``."""
    for segment in text.split("/")[1:]:
        yield "/"
        yield from (segment,) if segment == "**" else segment


@lru_cache(maxsize=1024)
def _compiled(text: str) -> _Pattern:
    """Compile a pattern; those in use are kept, because many identities share few."""
    if not text.startswith("/"):
        raise PatternError("must begin with a slash, as in /news or /news/*")
    if not text.isprintable():
        raise PatternError("must be printable text on one line")
    if len(text.encode()) > MAX_ROOM_NAME_BYTES:
        raise PatternError(f"must be at most {MAX_ROOM_NAME_BYTES} bytes, as a room's name is")
    if any("**" in segment and segment != "**" for segment in text.split("/")):
        raise PatternError("may have ** only in the place of a whole segment, as in /news/**")
    return _Pattern(text)


class Patterns:
    """
    A list of patterns; a room is in it if one of them matches.

    Attributes:
        texts: the patterns as they were given.

    Raises:
        PatternError: one of them is wrong, or they are more than 100.

    """

    __slots__ = ("_compiled", "_every", "texts")

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(texts)
        if len(self.texts) > MAX_PATTERNS:
            raise PatternError(f"must be at most {MAX_PATTERNS} patterns")
        if not all(isinstance(text, str) for text in self.texts):
            raise PatternError("must be text")
        self._every = "/**" in self.texts
        self._compiled = [_compiled(text) for text in self.texts]

    def match(self, room: str) -> bool:
        """Whether a room is in the list; ``room`` is its name, a path that is percent-decoded."""
        if self._every and room.startswith("/"):
            return True
        return any(pattern.matches(room) for pattern in self._compiled)
