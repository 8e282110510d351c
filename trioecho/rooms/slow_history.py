"""Who was disconnected for slowness lately: a room does not wait for them again."""

from __future__ import annotations

import trio

__all__ = ["SlowHistory"]

KEEP = 60.0
MAX_ENTRIES = 10_000

KnownAs = tuple[str | None, str | None]
"""The address and the name of a client; ``None`` if it has none by which it could be known again."""


class SlowHistory:
    """
    Remembers the addresses and names of clients that were too slow, for a while.

    One who joins a busy room, never reads, and comes back when it is disconnected would otherwise hold up
    the room for a stall limit each time. It can change its name or its address, but rarely both: either is
    enough. The only consequence for others behind the same address is that they are not waited for.

    Args:
        keep: how long one is remembered after it was last slow (seconds).
        max_entries: addresses and names to remember together; the oldest is forgotten first.

    """

    def __init__(self, *, keep: float = KEEP, max_entries: int = MAX_ENTRIES) -> None:
        self._keep = keep
        self._max_entries = max_entries
        # The oldest first, because all are kept for the same time.
        self._until: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        """How many addresses and names are remembered."""
        return len(self._until)

    def remember(self, known_as: KnownAs) -> None:
        """Take notice that a client was disconnected because it was slow."""
        now = trio.current_time()
        for key in _keys(*known_as):
            self._until.pop(key, None)  # so that it comes to stand last
            self._until[key] = now + self._keep
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now and len(self._until) <= self._max_entries:
                break
            del self._until[oldest]

    def was_slow(self, known_as: KnownAs) -> bool:
        """Whether a client from this address, or of this name, was slow lately."""
        now = trio.current_time()
        return any(self._until.get(key, now) > now for key in _keys(*known_as))


def _keys(address: str | None, name: str | None) -> list[tuple[str, str]]:
    keys = [] if address is None else [("address", address)]
    return keys if name is None else [*keys, ("name", name)]
