"""
Messages compressed once for everybody in a room, with a memory (permessage-deflate, RFC 7692).

A client inflates a message with the last 32 KiB of what was compressed for it before (7.2.1). A server
usually keeps a compressor for each client for that. A room need not: everybody in it gets the same messages,
so one compressor's past is everybody's, as long as whoever is sent a compressed message has been sent all
that it may refer back to. The :class:`Context` knows who has: a client is *in step* if it has got everything
since the context began. What is sent plain never enters a window and disturbs nothing.

A context may begin again at any time, because a new compressor refers back to nothing, whatever the clients'
windows hold. Then everybody is in step.

So there are few forms of a batch, and each is made at most once: in context, plain, and, where more than a
few are out of step, compressed without a past. The outboxes, their bounds and their writers know nothing of
it: what they are given is a batch.

Where everybody talks, nobody is in step, because who does not get its own messages has not got everything.
What such members get is a choice of the messages of a batch, each compressed by itself (:class:`Singles`).
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import trio

from trioecho.protocol.deflate import RSV1, TAIL, compressor
from trioecho.protocol.frames import data_frame, payloads
from trioecho.rooms.outbox import Outbox

__all__ = ["Context", "Singles", "step_of"]

WINDOW = 32 * 1024
"""How far back a message can refer (bytes). After so much a beginning afresh loses little, and lets in those
who are out of step."""

STEPS = ((3, 32 * 1024), (6, 8 * 1024), (9, 2 * 1024))
"""Up to which level other tasks run after how many bytes: about a millisecond of compressing what is easy. At
the highest levels something that is made to be hard takes ten times as long."""

MESSAGE_BYTES = 256
"""What each message counts beside its bytes: as long as that takes its end, which is flushed."""

PLAIN_BYTES = 16
"""And what one counts that is passed on as it is."""


class Context:
    """
    What all clients of a room that are in step have got, and the next message may refer back to.

    The numbers say which beginning of it an outbox knows. (An outbox must not keep the compressor itself:
    those of clients that are long behind would keep 207 KiB each.)
    """

    __slots__ = ("_age", "_compressor", "_number", "_owed")

    def __init__(self) -> None:
        self._compressor: zlib._Compress | None = None
        self._number = self._age = self._owed = 0

    def forget(self) -> None:
        """Free the compressor; the context begins again when it is next needed."""
        self._compressor = None

    def in_step(self, outboxes: Sequence[Outbox], messages: int, size: int, level: int) -> Sequence[Outbox]:
        """
        Return which of ``outboxes``, which can all inflate, get the next ``messages`` compressed.

        Who is out of step gets them plain until the context begins again. That is when those plain messages
        add up to one for everybody, which is about what a beginning costs, or after a window's length.
        """
        number = self._number
        missed = sum([outbox.context != number for outbox in outboxes])
        self._owed += missed * messages
        if self._compressor is None or (missed and (self._owed >= len(outboxes) or self._age >= WINDOW)):
            self._compressor = compressor(level)
            self._number = number = number + 1
            self._age = self._owed = missed = 0
            for outbox in outboxes:
                outbox.context = number
        self._age += size
        if not missed:
            return outboxes
        return [outbox for outbox in outboxes if outbox.context == number]

    async def compress(self, frames: bytes, smallest: int, step: int) -> bytes:
        """Return ``frames`` as those have them who are in step; other tasks run after each ``step`` bytes."""
        assert self._compressor is not None
        using = self._compressor
        return b"".join([each async for _, _, each in _compressed(frames, lambda: using, smallest, step)])

    async def compress_stream(self, parts: Iterable[bytes]) -> tuple[int, bytes]:
        """
        Return a part of a gzip stream for those who are in step, and how many bytes it was of ``parts``.

        Other tasks run after each of these. In such a stream all that is written enters the window, also what
        is not compressed. So for somebody in step nothing may come between two parts but empty blocks.
        """
        using, pieces, size = self._compressor, [], 0
        assert using is not None
        for part in parts:
            if size:
                await trio.lowlevel.checkpoint()
            pieces.append(using.compress(part))
            size += len(part)
        pieces.append(using.flush(zlib.Z_SYNC_FLUSH))
        return size, b"".join(pieces)

    @property
    def begun(self) -> int:
        """How often it has begun."""
        return self._number


def step_of(level: int) -> int:
    """Return how many bytes are compressed at one go."""
    return next(size for most, size in STEPS if level <= most)


class Singles:
    """
    Messages, each compressed by itself, so that one can be left out without harm to the others.

    ``size``: bytes of their frames, each different message once.
    """

    __slots__ = ("_compressed", "size")

    def __init__(self, compressed: dict[tuple[int, bytes], bytes]) -> None:
        self._compressed = compressed
        self.size = sum(map(len, compressed.values()))

    @classmethod
    async def of(cls, frames: bytes, smallest: int, level: int, step: int) -> Singles:
        """Compress the messages of ``frames``; other tasks run after each ``step`` bytes."""
        made = _compressed(frames, lambda: compressor(level), smallest, step)
        return cls({(first, payload): each async for first, payload, each in made})

    def of_these(self, frames: bytes) -> bytes:
        """Return ``frames``, each as it was compressed if it was."""
        return b"".join(
            [
                self._compressed.get((first, payload)) or data_frame(first, payload)
                for first, payload in payloads(frames)
            ]
        )


async def _compressed(
    frames: bytes, compressors: Callable[[], zlib._Compress], smallest: int, step: int
) -> AsyncIterator[tuple[int, bytes, bytes]]:
    """
    Compress each message of ``frames``, but for small ones.

    Yields its first byte, its payload, and its frame. What grows by it is sent so all the same.
    """
    left = step
    for first, payload in payloads(frames):
        if len(payload) < smallest:
            yield first, payload, data_frame(first, payload)
            left -= PLAIN_BYTES
        else:
            using, pieces, at = compressors(), [], 0
            while at < len(payload):
                if left <= 0:
                    await trio.lowlevel.checkpoint()
                    left = step
                pieces.append(using.compress(payload[at : at + left]))
                at, left = at + left, left - (len(payload) - at)
            pieces.append(using.flush(zlib.Z_SYNC_FLUSH))
            yield first, payload, data_frame(first | RSV1, b"".join(pieces)[: -len(TAIL)])
            left -= MESSAGE_BYTES
        if left <= 0:
            await trio.lowlevel.checkpoint()
            left = step
