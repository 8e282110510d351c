"""
What a server compressed, unpacked for many receivers at once.

Everybody in a room usually gets the same bytes. So what one receiver has inflated is kept until the others
have come past it: they only compare what they got with what that one got, which is a hundredth of the work.
A receiver that gets other bytes inflates them itself from there on. Either way every byte is looked at.
"""

from __future__ import annotations

import zlib

from trioecho.protocol.deflate import RSV1, TAIL
from trioecho.protocol.frames import FIN, MAX_LENGTH, BadFrame, Opcode, header, split

__all__ = ["Point", "Unpacker"]


class Point:
    """
    A moment in a connection's life: what the server may refer back to, and what came next there.

    ``keeps_past`` as the server has agreed to it. Nothing that comes later is held by a point that everybody
    has left.
    """

    __slots__ = ("_compressed", "_inflater", "_keeps_past", "after", "plain", "wire")

    def __init__(
        self, *, keeps_past: bool, inflater: zlib._Decompress | None = None, compressed: bool = False
    ) -> None:
        self._keeps_past = keeps_past
        self._inflater = inflater or zlib.decompressobj(-zlib.MAX_WBITS)
        self._compressed = compressed
        self.wire = b""
        """What came next, as whole frames."""
        self.plain = b""
        """The same, as a server sends it that compresses nothing."""
        self.after: Point | None = None

    def fork(self) -> Point:
        """Return the same moment for a receiver that got something else next."""
        return Point(keeps_past=self._keeps_past, inflater=self._inflater, compressed=self._compressed)

    def extend(self, data: bytes, at: int) -> bool:
        """
        Take the whole frames in ``data``, from ``at`` on, as what came next; False if there is none.

        Raises:
            BadFrame: one of them cannot be.

        """
        inflater, compressed, began, plain = self._inflater.copy(), self._compressed, at, []
        while (frame := split(data, at, allowed=RSV1)) is not None:
            first, body, end = frame
            payload = data[body:end]
            if not first & Opcode.CLOSE:  # the bit that all control frames have
                if first & 0x0F != Opcode.CONTINUATION:
                    compressed = bool(first & RSV1)
                elif first & RSV1:
                    raise BadFrame("a compressed continuation")
                if compressed:
                    whole = payload + TAIL if first & FIN else payload
                    try:
                        payload = inflater.decompress(whole, MAX_LENGTH + 1)
                    except zlib.error:
                        raise BadFrame("a message that is no valid deflate") from None
                    if len(payload) > MAX_LENGTH or inflater.eof:
                        raise BadFrame("a message that cannot be inflated")
                    if first & FIN and not self._keeps_past:
                        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            elif first & RSV1:
                raise BadFrame("a compressed control frame")
            plain.append(header(first & ~RSV1, len(payload)) + payload)
            at = end
        if not plain:
            return False
        self.wire, self.plain = data[began:at], b"".join(plain)
        self.after = Point(keeps_past=self._keeps_past, inflater=inflater, compressed=compressed)
        return True


class Unpacker:
    """One receiver's bytes, made plain. ``received`` is how many there were."""

    __slots__ = ("_point", "_rest", "received")

    def __init__(self, start: Point) -> None:
        self._point = start
        self._rest = b""
        self.received = 0

    def plain(self, data: bytes | memoryview) -> bytes:
        """
        Return what ``data`` completes, as frames of a server that compresses nothing.

        Raises:
            BadFrame: the server sent something that is not a frame, or cannot be inflated.

        """
        self.received += len(data)
        got, at, plain = self._rest + data, 0, []
        while at < len(got):
            point = self._point
            if point.after is not None and not got.startswith(point.wire, at):
                if point.wire.startswith(got[at:]):
                    break  # the beginning of what others got
                point = self._point = point.fork()
            if point.after is None and not point.extend(got, at):
                break
            assert point.after is not None
            plain.append(point.plain)
            at += len(point.wire)
            self._point = point.after
        self._rest = got[at:]
        return b"".join(plain)
