"""
A compressed message, inflated a piece at a time (permessage-deflate, RFC 7692, section 7.2.2).

What a message costs to inflate can't be told from its size. One of a kilobyte may become a megabyte, and one
of a megabyte may become nothing and still take a tenth of a second, if it is made of empty blocks of which
each brings its own codes. So both what goes in and what comes out count as work, and between two slices of
it others get their turn.

A message is inflated by itself, because our answer to the handshake forbids the client to refer back to its
own earlier messages (7.1.1.2): so nothing is kept for it between two of them.
"""

from __future__ import annotations

import zlib
from typing import Final

from trioecho.protocol.deflate import END, MAX_STREAMS, RSV1, TAIL, TooLarge
from trioecho.protocol.frames import TEXT, data_frame, is_utf8, masked
from trioecho.protocol.large_frames import NO_MASK

__all__ = ["SLICE_WORK", "Inflater", "Invalid"]

PIECE_BYTES: Final = 4 * 1024
"""So much goes in at once (bytes): half a millisecond of small messages, or of the worst there is."""

OUTPUT_BYTES: Final = 32 * 1024
"""And so much comes out at once (bytes): a tenth of a millisecond."""

INPUT_WORK: Final = 8
"""A byte that goes in counts as much as eight that come out."""

STREAM_WORK: Final = 512
"""And what a further stream counts: an inflater of its own, one microsecond."""

SLICE_WORK: Final = PIECE_BYTES * INPUT_WORK
"""The work of a slice: a piece that goes in, or 32 KiB that come out."""


class Invalid(Exception):
    """
    A message can't be inflated, or is text that is not UTF-8 (RFC 6455, 8.1).

    ``frame`` is what trio-websocket is to see in its place, a client's: it knows of no compression, so a
    reserved bit is a protocol error to it, and the text is judged as if it had come plain.
    """

    def __init__(self, frame: bytes) -> None:
        super().__init__()
        self.frame = frame


class Inflater:
    """
    One message that is being inflated; ``first`` is the first byte that its frame would have plain.

    Attributes:
        frame: the message as one frame, once it is done; before that ``None``.
        size: how much of it has been inflated (bytes).

    """

    __slots__ = (
        "_at",
        "_data",
        "_first",
        "_input",
        "_largest",
        "_made",
        "_stream",
        "_streams",
        "frame",
        "size",
    )

    def __init__(self, first: int, payload: bytes | bytearray, largest: int) -> None:
        self.frame: bytes | None = None
        self.size = 0
        self._first = first
        self._data = payload + TAIL + END
        self._at = 0
        self._input: bytes | bytearray = b""  # the rest of the piece that goes in
        self._largest = largest
        self._made: list[bytes] = []
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._streams = 1

    def __len__(self) -> int:
        """Return how much it keeps: never 0 (bytes)."""
        return len(self._data) + self.size

    def go_on(self, work: int) -> int:
        """
        Inflate until the message is done, or so much work is; return how much of that is left.

        It may be a piece more, and then less than nothing is left.

        Raises:
            Invalid: the message is wrong.
            TooLarge: it has more than ``largest`` bytes; no more than one over that was inflated.

        """
        while work > 0 and self.frame is None:
            work -= self._step()
        return work

    def _step(self) -> int:
        """Inflate one piece, and return what work that was."""
        if not self._input:
            self._input = self._data[self._at : self._at + PIECE_BYTES]
            self._at += len(self._input)
        before, stream = len(self._input), self._stream
        most = min(OUTPUT_BYTES, self._largest + 1 - self.size)
        try:
            made = stream.decompress(self._input, most)
        except zlib.error:
            raise self._invalid() from None
        self._input = stream.unused_data if stream.eof else stream.unconsumed_tail
        self._made.append(made)
        self.size += len(made)
        if self.size > self._largest:
            raise TooLarge
        work = INPUT_WORK * (before - len(self._input)) + len(made)
        at_end = not self._input and self._at >= len(self._data)
        if not stream.eof:
            if at_end and len(made) < most:
                raise self._invalid()
        elif at_end:
            self.frame = self._finish()
        elif self._streams == MAX_STREAMS:
            raise self._invalid()
        else:  # a last block that is not the last
            self._streams += 1
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
            work += STREAM_WORK
        return work

    def _finish(self) -> bytes:
        """Return the whole message as a frame."""
        message = self._made[0] if len(self._made) == 1 else b"".join(self._made)
        if self._first == TEXT and not is_utf8(message):
            raise Invalid(masked(TEXT, message, NO_MASK))
        return data_frame(self._first, message)

    def _invalid(self) -> Invalid:
        return Invalid(masked(self._first | RSV1, b"", NO_MASK))
