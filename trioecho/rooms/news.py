"""News: what some members of a room are told beside its messages, and is none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trioecho.protocol.head import encode_presence_head
from trioecho.protocol.sse import encode_presence
from trioecho.rooms.batch import BATCH_COST, Batch, Buffer, Encoding, Origin, as_events
from trioecho.rooms.headed import as_headed

__all__ = ["News"]

FORMS: Mapping[Encoding, Callable[[bytes], bytes]] = {
    as_headed: encode_presence_head,
    as_events: encode_presence,
}
"""How it is said to those who write in each encoding; the others can't be told."""


class News(Batch):
    """
    Something that is no message: ``body``, a JSON object, in the encoding of whoever is told.

    In a queue it is a batch of no messages. It has no place: where a client is does not change by it.
    ``on_lost`` is called with an outbox from which it was dropped.
    """

    __slots__ = ("_body", "on_lost")

    def __init__(self, body: bytes, on_lost: Callable[[Any], None]) -> None:
        super().__init__(Origin.FANNED_OUT, b"", 0)
        self.cost = len(body) + BATCH_COST
        self.on_lost = on_lost
        self._body = body

    def encoded(self, kind: Encoding | None) -> bytes:
        """Return it as those have it who write in this encoding."""
        if kind is None:
            return b""
        if self._encoded is None:
            self._encoded = {}
        if kind not in self._encoded:
            self._encoded[kind] = FORMS[kind](self._body)
        return self._encoded[kind]

    def buffers(self, kind: Encoding | None) -> Sequence[Buffer]:
        """Return it as the one buffer that it is."""
        return (self.encoded(kind),)
