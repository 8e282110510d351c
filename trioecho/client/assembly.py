"""A message on its way in: its parts, until it is complete or too large."""

from __future__ import annotations

from wsproto.events import BytesMessage, TextMessage

__all__ = ["Assembly", "TooLarge"]

MOST_PARTS = 1000
"""So many parts are joined into one: a part costs more than its bytes, and may be of one byte."""


class TooLarge(Exception):
    """The message has more bytes than allowed."""


class Assembly:
    """Puts together the parts of messages, one message after another; at most ``limit`` bytes a message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._joined: list[str] | list[bytes] = []
        self._parts: list[str] | list[bytes] = []
        self._size = 0

    def add(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        """
        Add a part; returns the message when it is complete.

        Empty parts are not kept: a message may have any number of them.

        Raises:
            TooLarge: with this part, the message is larger than the limit.

        """
        data = event.data
        if data:
            self._size += len(data.encode()) if isinstance(data, str) and not data.isascii() else len(data)
            if self._size > self._limit:
                self._joined, self._parts = [], []
                raise TooLarge
            self._parts.append(data if isinstance(data, str) else bytes(data))  # type: ignore[arg-type]
        empty: str | bytes = "" if isinstance(event, TextMessage) else b""
        if not event.message_finished:
            if len(self._parts) >= MOST_PARTS:
                self._joined.append(empty.join(self._parts))  # type: ignore[arg-type]
                self._parts = []
            return None
        message = empty.join([*self._joined, *self._parts])
        self._joined, self._parts, self._size = [], [], 0
        return message
