"""
Bodies compressed for clients that accept it (Content-Encoding: gzip; RFC 9110, 8.4.1.3, and RFC 1952).

For what is read again and again it is done once. A page that differs from room to room in one line only is
put together of parts that are compressed already: each ends at a whole byte and none refers to another. In
such parts a body is compressed that is made while it is sent: nothing is kept between two of them.
"""

from __future__ import annotations

import zlib

import trio

from trioecho.http.negotiation import preferred_type
from trioecho.http.request import Request
from trioecho.protocol.gzip_stream import HEAD

__all__ = ["GZIP", "LEAST_BYTES", "VARY_GZIP", "Joint", "Pieces", "accepts_gzip", "gzipped"]

GZIP = ("Content-Encoding", "gzip")

VARY_GZIP = ("Vary", "Accept, Accept-Encoding")
"""The response depends on both, which a cache must know, whether it is compressed or not."""

LEAST_BYTES = 1024
"""A smaller body is not compressed: it fits in one packet as it is."""

PIECE_BYTES = 64 * 1024
"""After so many bytes other tasks run: about a millisecond of compressing."""

QUICK, BEST = 3, 9


def accepts_gzip(request: Request) -> bool:
    """Return whether a response may be gzip, and is liked no less so than plain (RFC 9110, 12.5.3)."""
    return preferred_type(request.header("accept-encoding"), ["gzip"], "identity") == "gzip"


async def gzipped(body: bytes) -> bytes:
    """Return ``body`` as gzip; other tasks run in between."""
    using = zlib.compressobj(QUICK, wbits=zlib.MAX_WBITS + 16)
    pieces = []
    for at in range(0, len(body), PIECE_BYTES):
        if at:
            await trio.lowlevel.checkpoint()
        pieces.append(using.compress(body[at : at + PIECE_BYTES]))
    return b"".join([*pieces, using.flush()])


class Joint:
    """Two parts that are compressed once, and joined by something small that is different each time."""

    __slots__ = ("_after", "_before", "_checksum", "_raw_after", "_size")

    def __init__(self, before: bytes, after: bytes) -> None:
        self._before = HEAD + _deflated(before, BEST, zlib.Z_FULL_FLUSH)
        self._after = _deflated(after, BEST, zlib.Z_FINISH)
        self._checksum = zlib.crc32(before)
        self._raw_after = after
        self._size = len(before) + len(after)

    def around(self, between: bytes) -> bytes:
        """Return the whole with ``between`` in it, as gzip."""
        checksum = zlib.crc32(self._raw_after, zlib.crc32(between, self._checksum))
        trailer = _trailer(checksum, self._size + len(between))
        return self._before + _deflated(between, QUICK, zlib.Z_FULL_FLUSH) + self._after + trailer


class Pieces:
    """A body that is compressed a piece at a time; between two nothing is kept but a checksum and a size."""

    __slots__ = ("_checksum", "_size")

    def __init__(self) -> None:
        self._checksum = self._size = 0

    def add(self, piece: bytes) -> bytes:
        """Return the next piece as gzip; about a millisecond for :data:`PIECE_BYTES`."""
        head = b"" if self._size else HEAD
        self._checksum = zlib.crc32(piece, self._checksum)
        self._size += len(piece)
        return head + _deflated(piece, QUICK, zlib.Z_FULL_FLUSH)

    def end(self) -> bytes:
        """Return what comes after the last piece."""
        return _deflated(b"", QUICK, zlib.Z_FINISH) + _trailer(self._checksum, self._size)


def _trailer(checksum: int, size: int) -> bytes:
    """Return the end of a gzip file (RFC 1952, 2.3.1)."""
    return checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def _deflated(part: bytes, level: int, end: int) -> bytes:
    using = zlib.compressobj(level, wbits=-zlib.MAX_WBITS)
    return using.compress(part) + using.flush(end)
