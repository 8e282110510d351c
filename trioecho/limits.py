"""Numbers that several packages share; what a user can set is in :mod:`trioecho.settings`."""

from __future__ import annotations

__all__ = ["GIB", "LONGEST_WAIT", "MAX_ROOM_NAME_BYTES", "MIB"]

MIB, GIB = 2**20, 2**30

LONGEST_WAIT = 86_400.0
"""No deadline is longer than a day (seconds): a longer one is almost certainly a typo."""

MAX_ROOM_NAME_BYTES = 255
"""A room's name is kept and logged for as long as the room is there (bytes; a file name's limit)."""
