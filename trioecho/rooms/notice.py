"""
A notice: what a member is told in its place among the messages.

That some messages are missing here, and how many; or, at the beginning, where in the room it is. How that is
said differs from kind to kind of member, and one that understands nothing of it is told nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trioecho.protocol.frames import TEXT, data_frame
from trioecho.protocol.gzip_stream import stored
from trioecho.protocol.sse import encode_place
from trioecho.rooms.batch import Batch, Buffer, Encoding, Origin
from trioecho.rooms.place import Place

__all__ = ["Notice", "Tell", "tell_by_event", "tell_by_gzip_event", "tell_by_itself", "tells_text"]

Tell = Callable[[Place, int | None], bytes]
"""What is written for a place, and how many messages are missing before it (``None``: nobody knows); empty if
that is nothing to tell."""

NOWHERE = Place("", 0)

NOTICE_COST = 200
"""What a notice is taken to cost in a queue (bytes)."""


class Notice(Batch):
    """
    ``missed`` messages are missing here; it grows until it is written.

    In a queue it is like a batch of no messages, whatever the encoding.
    """

    __slots__ = ("_tell", "missed")

    def __init__(self, tell: Tell, place: Place = NOWHERE, missed: int | None = 0) -> None:
        super().__init__(Origin.FANNED_OUT, b"", 0)
        self.cost = NOTICE_COST
        self.epoch, self.offset = place
        self.missed = missed
        self._tell = tell

    def add(self, batch: Batch) -> None:
        """Take notice that ``batch`` is missing too, which comes after all that is missing already."""
        self.epoch, self.offset = batch.epoch, batch.end
        more = batch.missed if isinstance(batch, Notice) else batch.count
        self.missed = None if self.missed is None or more is None else self.missed + more

    def encoded(self, kind: Encoding | None) -> bytes:
        """Return what is to be written."""
        return self._tell(Place(self.epoch, self.offset), self.missed)

    def buffers(self, kind: Encoding | None) -> Sequence[Buffer]:
        """Return it as the one buffer that it is."""
        return (self.encoded(kind),)


def tell_by_event(place: Place, missed: int | None) -> bytes:
    """Tell it as Server-Sent Events do."""
    return encode_place(str(place), missed)


def tell_by_gzip_event(place: Place, missed: int | None) -> bytes:
    """Tell it as events in a gzip stream do."""
    return stored(tell_by_event(place, missed))


def tell_by_itself(place: Place, missed: int | None) -> bytes:
    """Tell it by the notice itself, to the application: nothing is written."""
    return b"notice"


def tells_text(text: str) -> Tell:
    """Return what tells it as a text message, with the number, or ``null``, where ``text`` has ``%d``."""

    def tell(place: Place, missed: int | None) -> bytes:
        if missed == 0:
            return b""
        return data_frame(TEXT, text.replace("%d", "null" if missed is None else str(missed)).encode())

    return tell
