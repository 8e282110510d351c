"""What a server logs, kept so that a test can wait for an entry and count others."""

from __future__ import annotations

from typing import Any

import trio

__all__ = ["Entry", "LogBook"]

Entry = dict[str, Any]


class LogBook:
    """Log entries in the order they were written: an event's name and its values."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._more = trio.Event()

    def add(self, entry: Entry) -> None:
        """Keep an entry, and wake who waits for one."""
        self.entries.append(entry)
        self._more.set()
        self._more = trio.Event()

    def find(self, *names: str, **values: Any) -> list[Entry]:
        """Return the entries of these events (of any, if none is named) with these values."""
        return [
            entry
            for entry in self.entries
            if (not names or entry["event"] in names)
            and all(entry.get(name) == value for name, value in values.items())
        ]

    async def event(self, *names: str, count: int = 1, **values: Any) -> Entry:
        """Wait until there are ``count`` such entries, and return the last of those."""
        while len(found := self.find(*names, **values)) < count:
            await self._more.wait()
        return found[count - 1]

    @property
    def tracebacks(self) -> list[Entry]:
        """The entries that carry a traceback: bugs of ours, one and all."""
        return [entry for entry in self.entries if "traceback" in entry]
