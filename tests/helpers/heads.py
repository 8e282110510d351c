"""A client of ``trioecho.v1``, as the manual describes one: what it makes of its messages."""

from __future__ import annotations

import json

__all__ = ["Heads"]


class Heads:
    """
    What one client has heard over all its connections; call :meth:`connected` for each.

    ``heard`` are the messages, ``numbers`` which of the room's they are, and ``missed`` what it was told is
    missing (``None``: nobody knows).
    """

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.numbers: list[int] = []
        self.missed: list[int | None] = []
        self.heads: list[dict[str, object]] = []
        self.epoch: str | None = None
        self.offset = 0
        self._left = 0

    @property
    def place(self) -> str:
        """Where it is, as it is written in an address."""
        return f"{self.epoch}-{self.offset}"

    def connected(self) -> None:
        """Begin a new connection."""
        self._left = 0

    def take(self, message: str | bytes) -> None:
        """Take notice of the next message."""
        if self._left:
            self._left -= 1
            self.offset += 1
            self.heard.append(message)
            self.numbers.append(self.offset)
            return
        head = json.loads(message)
        self.heads.append(head)
        if head.get("missed", 0) != 0:
            self.missed.append(head["missed"])
        self.epoch, self.offset, self._left = head["epoch"], head["offset"], head["count"]
