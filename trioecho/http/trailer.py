"""
The trailer of a body sent in chunks, held to the rules for a head: lines that end in CRLF, and none folded.

h11 takes a bare LF for the end of a trailer's line. A proxy may not, and what two readers cut differently is
how one request is hidden in another (RFC 9112, 11.2).
"""

from __future__ import annotations

__all__ = ["TrailerCheck"]


class TrailerCheck:
    """Remembers the end of what was read, as far back as a trailer can begin: ``reach`` bytes."""

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._read = bytearray()

    @property
    def held(self) -> int:
        """What it remembers (bytes)."""
        return len(self._read)

    def add(self, data: bytes) -> None:
        """Remember what was read."""
        self._read += data
        # Only now and then, because it moves all that stays.
        if len(self._read) > 2 * self._reach:
            del self._read[: -self._reach]

    def is_valid(self, lines: int, rest: int) -> bool:
        """
        Say whether the trailer that has just ended is well-formed.

        It is the last thing before the ``rest`` bytes that belong to the next request. ``lines`` are the
        fields that h11 found in it. Where it cut at a bare LF, or joined what was folded, there are not as
        many lines between CRLFs, or one of them shows it.
        """
        parts = bytes(self._read[: len(self._read) - rest]).rsplit(b"\r\n", lines + 2)
        if len(parts) < lines + 3 or parts[-1] or parts[-2]:
            return False
        return not any(b"\n" in field or b"\r" in field or field[:1] in b" \t" for field in parts[1:-2])
