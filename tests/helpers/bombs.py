"""Compressed messages that cost much: what goes into them is small, or what comes out of them is nothing."""

from __future__ import annotations

import zlib

__all__ = ["deflated", "empty_blocks", "zeros"]

TAIL = b"\x00\x00\xff\xff"


def deflated(payload: bytes, level: int = 6) -> bytes:
    """A message as a client compresses it that forgets each."""
    using = zlib.compressobj(level, wbits=-15)
    return (using.compress(payload) + using.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def zeros(size: int) -> bytes:
    """So many zeros, in a thousandth of it."""
    return deflated(bytes(size), 9)


def empty_blocks(size: int) -> bytes:
    """
    A message without content, of about ``size`` bytes: empty blocks, each with codes of its own.

    To read the codes of a block is the most work that a byte can make: about a tenth of a microsecond
    (RFC 1951, 3.2.7).
    """
    bits = "0" + "01"  # not the last block; dynamic codes
    bits += _number(0, 5) + _number(0, 5) + _number(14, 4)  # 257 literals, 1 distance, 18 code lengths
    lengths = {18: 1, 0: 2, 1: 2}  # of the codes for the lengths themselves
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    bits += "".join([_number(lengths.get(symbol, 0), 3) for symbol in order])
    bits += "0" + _number(138 - 11, 7) + "0" + _number(117 - 11, 7)  # 255 literals that do not occur
    bits += "11" + "11" + "11"  # the last literal, the end of the block, and the distance: one bit each
    bits += "1"  # the end of the block
    blocks = bits * (8 * 1024 // 8)  # a whole number of bytes
    data = int(blocks[::-1], 2).to_bytes(len(blocks) // 8, "little")
    return (
        data * max(1, size // len(data)) + b"\x00"
    )  # and the head of an empty block, whose rest is the tail


def _number(value: int, length: int) -> str:
    """Return a number as bits, the lowest first (RFC 1951, 3.1.1)."""
    return f"{value:0{length}b}"[::-1]
