"""
A gzip file that never ends (RFC 1952), for a response that goes on as long as the connection.

Its checksum stands at its end, so that none is ever worked out. What lies between is deflate: pieces that end
at a whole byte can be compressed anywhere, by anybody, and put one after another.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HEAD", "NOTHING", "stored"]

HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""Of a file without a name or a time (2.3.1)."""

NOTHING: Final = b"\x00\x00\x00\xff\xff"
"""An empty block: bytes on the wire that mean nothing, and that nothing can refer back to."""

LARGEST_BLOCK = 0xFFFF


def stored(data: bytes) -> bytes:
    """Return ``data`` as it is, in blocks of deflate (RFC 1951, 3.2.4); nothing for nothing."""
    blocks = []
    for at in range(0, len(data), LARGEST_BLOCK):
        piece = data[at : at + LARGEST_BLOCK]
        size = len(piece)
        blocks += [b"\x00", size.to_bytes(2, "little"), (size ^ 0xFFFF).to_bytes(2, "little"), piece]
    return b"".join(blocks)
