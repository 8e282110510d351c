"""A message that comes in fragments (RFC 6455, 5.4), until the last one is here."""

from __future__ import annotations

import codecs

from trioecho.protocol.deflate import RSV1
from trioecho.protocol.frames import FIN, masked
from trioecho.protocol.large_frames import NO_MASK

__all__ = ["Fragments"]


class Fragments:
    """
    What has come of one message so far; ``first`` is the first byte of its first frame.

    Attributes:
        began: when the first byte of it came.
        first: the first byte of a frame that holds the whole message.
        deflated: whether it is compressed.
        payload: of all fragments so far.

    """

    __slots__ = ("_utf8", "began", "deflated", "first", "payload")

    def __init__(self, first: int, began: float) -> None:
        self.began = began
        self.deflated = bool(first & RSV1)
        self.first = FIN | (first & 0x0F)
        self.payload = bytearray()
        # Of text, the decoder that stands where the last fragment ended: a character may be cut in two.
        self._utf8 = codecs.getincrementaldecoder("utf-8")() if first == 0x01 else None

    def __len__(self) -> int:
        """Return how many bytes of payload are here."""
        return len(self.payload)

    def add(self, payload: bytes | bytearray, *, final: bool) -> bool:
        """Add a fragment; False if it is not UTF-8, and then it is not added."""
        if self._utf8 is not None:
            try:
                self._utf8.decode(payload, final=final)
            except UnicodeDecodeError:
                return False
        self.payload += payload
        return True

    def as_frame(self) -> bytes:
        """Return one frame that says what the fragments said: a client's, and not final."""
        frame = bytearray(masked(self.first, bytes(self.payload), NO_MASK))
        frame[0] = (self.first ^ FIN) | (RSV1 if self.deflated else 0)
        return bytes(frame)
