"""Batches as ``trioecho.v1`` has them: a head, then as many messages as it says, exactly as they are."""

from __future__ import annotations

from trioecho.protocol.head import encode_head
from trioecho.rooms.batch import Batch
from trioecho.rooms.place import Place

__all__ = ["RUN_COST", "as_headed", "tell_by_head"]

RUN_COST = 150
"""What each run of an excerpt costs that knows its runs (bytes): three numbers in a tuple, or its head."""


def as_headed(batch: Batch) -> bytes:
    """Encode a batch with a head, or one for each run of a batch in which others' messages are left out."""
    frames = batch.frames
    if batch.runs is None:
        return encode_head(batch.epoch, batch.offset, batch.count) + frames
    parts: list[bytes] = []
    at = 0
    for before, count, size in batch.runs:
        parts.append(encode_head(batch.epoch, batch.offset + before, count))
        parts.append(frames[at : at + size])
        at += size
    return b"".join(parts)


def tell_by_head(place: Place, missed: int | None) -> bytes:
    """Tell where a client is and what it has missed, by a head that no message follows."""
    return encode_head(place.epoch, place.offset, 0, missed)
