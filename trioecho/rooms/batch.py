"""
A batch: messages on their way through a room, as one value.

It is the same wherever it comes from: frames ready for the wire, shared by everybody who gets it and by every
queue it waits in. A batch is messages and nothing else; what is not a message (a ping, a comment, the wish to
know when everything has been fanned out) goes another way.

Two forms look alike from outside. A plain :class:`Batch` holds its frames as one ``bytes``. An
:class:`Excerpt` holds pieces of bytes that others hold too: what a room in which many talk has for one of
them is the whole without that client's own messages, and a copy of it for each would cost a slow crowd its
size times the size of the whole. The pieces are joined only to be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from trioecho.protocol.sse import encode_events

__all__ = ["Batch", "Buffer", "Encoding", "Excerpt", "Origin", "as_events", "excerpt"]

BATCH_COST = 64
"""What a batch is taken to cost in a queue beside its frames (bytes), so that a queue of many tiny ones is
bounded too."""

PIECE_COST = 200
"""And what each piece of an excerpt costs (bytes): a ``memoryview`` and its place in a tuple."""

COPIED_BYTES = 4096
"""An excerpt of fewer bytes is copied: a copy costs no more than the pieces would."""

Buffer = bytes | memoryview


class Origin(Enum):
    """Where a batch comes from that no member of the room has sent."""

    APPLICATION = "application"
    """The application, or a request to publish: everybody in the room gets it."""

    ELSEWHERE = "elsewhere"
    """A member on another node: it is one of the others to everybody here."""

    FANNED_OUT = "fanned out"
    """Its recipients are known, so its origin no longer matters. What waits for a slow client must not keep
    the one who sent it in memory."""


class Batch:
    """
    ``count`` messages as ``frames``.

    Attributes:
        source: the member that sent it, or its :class:`Origin`.
        frames: the messages, as a server sends them.
        size: bytes of frames.
        count: how many messages they are.
        cost: what it costs a queue to hold it (bytes).
        id: what it is known by, if anything; several batches joined have the last one's.

    """

    __slots__ = ("_encoded", "cost", "count", "frames", "id", "size", "source")

    def __init__(self, source: object, frames: bytes, count: int, *, id: str | None = None) -> None:
        self.source = source
        self.frames = frames
        self.count = count
        self.size = len(frames)
        self.cost = self.size + BATCH_COST
        self.id = id
        self._encoded: dict[Encoding, bytes] | None = None

    def encoded(self, kind: Encoding | None) -> bytes:
        """Return the batch in an encoding (``None``: frames), made when first asked for and then kept."""
        if kind is None:
            return self.frames
        if self._encoded is None:
            self._encoded = {}
        if kind not in self._encoded:
            self._encoded[kind] = kind(self)
        return self._encoded[kind]

    def buffers(self, kind: Encoding | None) -> Sequence[Buffer]:
        """Return what :meth:`encoded` returns as buffers that are shared, in the order to write them."""
        return (self.encoded(kind),)


Encoding = Callable[[Batch], bytes]
"""Another form of a batch than frames: a function that makes it, always the same one for the same form."""


def as_events(batch: Batch) -> bytes:
    """Encode a batch as Server-Sent Events."""
    return encode_events(batch.frames)


class Excerpt(Batch):
    """A batch that shares the bytes of others: its ``frames`` are joined anew whenever they are needed."""

    __slots__ = ("_pieces",)

    def __init__(self, pieces: Sequence[Buffer], count: int, *, id: str | None = None) -> None:
        self.source = Origin.FANNED_OUT
        self.count = count
        self.size = sum(map(len, pieces))
        self.cost = self.size + PIECE_COST * len(pieces) + BATCH_COST
        self.id = id
        self._encoded = None
        self._pieces = tuple(pieces)

    @property
    def frames(self) -> bytes:  # type: ignore[override]
        """The messages, as a server sends them: a copy, so keep it no longer than it takes to write it."""
        return b"".join(self._pieces)

    def buffers(self, kind: Encoding | None) -> Sequence[Buffer]:
        """Return the pieces themselves."""
        return self._pieces if kind is None else (self.encoded(kind),)


def excerpt(pieces: Sequence[Buffer], count: int, held: int, *, id: str | None = None) -> Batch:
    """
    Make a batch of pieces that keep ``held`` bytes in memory.

    It shares them if that can't cost more than twice what it says: of a whole from which little is left, a
    copy of the little is held instead.
    """
    size = sum(map(len, pieces))
    if size < COPIED_BYTES or size * 2 < held:
        return Batch(Origin.FANNED_OUT, b"".join(pieces), count, id=id)
    return Excerpt(pieces, count, id=id)
