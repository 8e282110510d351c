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

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, ClassVar

from trioecho.memory import Lease, Memory
from trioecho.protocol.gzip_stream import stored
from trioecho.protocol.sse import encode_events

__all__ = [
    "Batch",
    "Buffer",
    "Encoding",
    "Excerpt",
    "Excluding",
    "Origin",
    "Reach",
    "Runs",
    "as_events",
    "as_gzip_events",
    "excerpt",
]

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

    KNOWN = "known"
    """It is not to be fanned out: everybody here has had it, or it has no messages."""

    FANNED_OUT = "fanned out"
    """Its recipients are known, so its origin no longer matters. What waits for a slow client must not keep
    the one who sent it in memory."""


class Reach(Enum):
    """Whom of those who are to get it a batch reaches, in a room that says the same in two orders."""

    EARLY = "early"
    """Those who need no places, at once."""

    LATE = "late"
    """All others, when it has its place in the log."""


class Excluding:
    """The source of a batch that the application publishes to all in a room but ``members``."""

    __slots__ = ("members",)

    def __init__(self, members: Iterable[object]) -> None:
        self.members = frozenset(members)


class Batch:
    """
    ``count`` messages as ``frames``.

    Attributes:
        source: the member that sent it, or its :class:`Origin`, or whom it is kept from.
        frames: the messages, as a server sends them.
        size: bytes of frames.
        count: how many messages they are.
        cost: what it costs a queue to hold it (bytes).
        epoch, offset: the place in the room before its first message, once it is fanned out.
        runs: where messages of others are left out of it, and somebody needs to know: what follows each other
            without a gap, as how many came before (from ``offset`` on), how many, and their bytes.
        is_final: whether its frames are what is written, in whatever encoding its recipients write.

    """

    is_final: ClassVar = False

    __slots__ = (
        "_encoded",
        "_lease",
        "cost",
        "count",
        "epoch",
        "frames",
        "offset",
        "reach",
        "runs",
        "size",
        "source",
        "sources",
    )

    sources: Sequence[Any]  # where its messages come from; there only if a subscription asks for that
    reach: Reach  # there only if it does not reach everybody

    def __init__(self, source: object, frames: bytes, count: int) -> None:
        self.source = source
        self.frames = frames
        self.count = count
        self.size = len(frames)
        self.cost = self.size + BATCH_COST
        self.epoch = ""
        self.offset = 0
        self.runs: Runs | None = None
        self._encoded: dict[Encoding, bytes] | None = None

    _lease: Lease  # not there until the batch has to wait: most never do

    def hold(self, memory: Memory) -> None:
        """Count in ``memory`` what the batch costs, once and as long as there is somebody who has it."""
        try:
            self._lease  # noqa: B018 - is there one?
        except AttributeError:
            self._lease = Lease(memory, self.cost)

    @property
    def end(self) -> int:
        """The offset after its last message."""
        if self.runs is None:
            return self.offset + self.count
        before, count, _ = self.runs[-1]
        return self.offset + before + count

    @property
    def event_place(self) -> tuple[str, int]:
        """The epoch that its events have in their ids, and how many messages came before; or no epoch."""
        return self.epoch, self.offset

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


Runs = Sequence[tuple[int, int, int]]
Encoding = Callable[[Batch], bytes]
"""Another form of a batch than frames: a function that makes it, always the same one for the same form."""


def as_events(batch: Batch) -> bytes:
    """Encode a batch as Server-Sent Events, each with the place after it as its id."""
    return encode_events(batch.frames, batch.epoch, batch.offset)


def as_gzip_events(batch: Batch) -> bytes:
    """Encode a batch as events in a gzip stream, not compressed: for who is out of step."""
    return stored(batch.encoded(as_events))


class Excerpt(Batch):
    """A batch that shares the bytes of others: its ``frames`` are joined anew whenever they are needed."""

    __slots__ = ("_pieces", "_whole")

    def __init__(self, pieces: Sequence[Buffer], count: int, *, whole: Batch | None = None) -> None:
        self.source = Origin.FANNED_OUT
        self.count = count
        self.size = sum(map(len, pieces))
        self.cost = self.size + PIECE_COST * len(pieces) + BATCH_COST
        self.epoch = ""
        self.offset = 0
        self.runs = None
        self._encoded = None
        self._pieces = tuple(pieces)
        self._whole = whole

    def hold(self, memory: Memory) -> None:
        """Count the whole that the pieces are of, and not once more for each excerpt of it."""
        if self._whole is None:
            super().hold(memory)
        else:
            self._whole.hold(memory)

    @property
    def frames(self) -> bytes:  # type: ignore[override]
        """The messages, as a server sends them: a copy, so keep it no longer than it takes to write it."""
        return b"".join(self._pieces)

    def buffers(self, kind: Encoding | None) -> Sequence[Buffer]:
        """Return the pieces themselves."""
        return self._pieces if kind is None else (self.encoded(kind),)


def excerpt(pieces: Sequence[Buffer], count: int, held: int, *, whole: Batch | None = None) -> Batch:
    """
    Make a batch of pieces, perhaps of a ``whole``, that keep ``held`` bytes in memory.

    It shares them if that can't cost more than twice what it says: of a whole from which little is left, a
    copy of the little is held instead.
    """
    size = sum(map(len, pieces))
    if size < COPIED_BYTES or size * 2 < held:
        return Batch(Origin.FANNED_OUT, b"".join(pieces), count)
    return Excerpt(pieces, count, whole=whole)
