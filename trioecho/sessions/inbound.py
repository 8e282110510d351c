"""
The inbound step: what a message passes between its sender and the room.

It stands in one place for all who publish, a client's frames and the body of a POST alike. While nothing is
asked of it, it is one test of a flag for each read, however many messages that brought.
"""

from __future__ import annotations

from trioecho.counters import Counters
from trioecho.protocol.frames import TEXT, data_frame, payloads
from trioecho.settings import Settings

__all__ = ["Inbound"]


class Inbound:
    """The step of one server. Messages are frames, as the decoder makes them."""

    __slots__ = ("_counters", "_prefix")

    def __init__(self, settings: Settings, counters: Counters) -> None:
        self._counters = counters
        self._prefix = settings.prefix.encode()

    def take(self, messages: list[bytes]) -> bytes:
        """
        Count what a client's read has brought, and return what the room gets of it.

        Counted is what came, before the prefix. How many messages that were the client counts itself, until
        it leaves.
        """
        joined = b"".join(messages) if len(messages) > 1 else messages[0]
        self._counters.bytes_in += len(joined)
        return self._with_prefix(joined) if self._prefix else joined

    def prepare(self, message: bytes) -> bytes:
        """Return what the room gets of one message, which is counted when the room has taken it."""
        return self._with_prefix(message) if self._prefix else message

    def _with_prefix(self, joined: bytes) -> bytes:
        """Put the prefix before every text message; binary ones pass as they are."""
        prefix = self._prefix
        return b"".join(
            [
                data_frame(first, prefix + payload if first == TEXT else payload)
                for first, payload in payloads(joined)
            ]
        )
