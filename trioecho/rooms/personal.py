"""A message for one member alone: it is no part of what the room has said, and takes no number in it."""

from __future__ import annotations

from trioecho.protocol.head import encode_head
from trioecho.protocol.sse import encode_events
from trioecho.rooms.batch import Batch, Encoding, Origin, as_events
from trioecho.rooms.headed import as_headed
from trioecho.rooms.place import Place

__all__ = ["PersonalBatch"]


class PersonalBatch(Batch):
    """
    One message, given as a frame, that is sent where its member is at ``place``.

    A speaker of ``trioecho.v1`` counts every message that follows a head, so a second head says after it that
    the room has not gone on. An event has no id.
    """

    __slots__ = ()

    def __init__(self, frame: bytes, place: Place) -> None:
        super().__init__(Origin.FANNED_OUT, frame, 1)
        self.epoch, self.offset = place

    @property
    def end(self) -> int:
        """The offset after it, which is that before it."""
        return self.offset

    @property
    def event_place(self) -> tuple[str, int]:
        """No place: an event of its own has no id."""
        return "", 0

    def encoded(self, kind: Encoding | None) -> bytes:
        """Return it as its member's kind has it."""
        if kind is as_headed:
            after = encode_head(self.epoch, self.offset, 0)
            return encode_head(self.epoch, self.offset, 1) + self.frames + after
        if kind is as_events:
            return encode_events(self.frames)
        return super().encoded(kind)
