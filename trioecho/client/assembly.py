"""A message on its way in: its parts, until it is whole or too large."""

from __future__ import annotations

from wsproto.events import BytesMessage, TextMessage

__all__ = ["Assembly", "TooLarge"]

MOST_PARTS = 1000
"""Past this many parts they are joined: a part costs more than its bytes, and may be of one byte."""


class TooLarge(Exception):
    """The message has more bytes than allowed."""


class Assembly:
    """Where the parts of one message after another are put together; at most ``limit`` bytes a message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[str] | list[bytes] = []
        self._size = 0

    def add(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        """
        Add a part; returns the message when it is whole.

        Empty parts are not kept: a message may have any number of them.

        Raises:
            TooLarge: with this part, the message is larger than the limit.

        """
        data = event.data
        if data:
            self._size += len(data.encode()) if isinstance(data, str) and not data.isascii() else len(data)
            if self._size > self._limit:
                raise TooLarge
            self._parts.append(data if isinstance(data, str) else bytes(data))  # type: ignore[arg-type]
        if not event.message_finished:
            if len(self._parts) >= MOST_PARTS:
                self._parts = [self._join(event)]  # type: ignore[assignment]
            return None
        message = self._join(event)
        self._parts, self._size = [], 0
        return message

    def _join(self, event: TextMessage | BytesMessage) -> str | bytes:
        empty: str | bytes = "" if isinstance(event, TextMessage) else b""
        return empty.join(self._parts)  # type: ignore[arg-type]
