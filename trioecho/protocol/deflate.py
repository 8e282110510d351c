"""Compressed messages as bytes (permessage-deflate, RFC 7692, section 7.2)."""

from __future__ import annotations

import zlib
from typing import Final

__all__ = ["END", "MAX_STREAMS", "RSV1", "TAIL", "TooLarge", "compressor", "slack"]

RSV1: Final = 0x40
"""The bit of a message's first byte that says that it is compressed (6.2)."""

TAIL: Final = b"\x00\x00\xff\xff"
"""What ends every flushed piece of deflate, and is left out on the wire (7.2.1)."""

END: Final = b"\x03\x00"
"""An empty last block: with it the inflater can say whether a message was complete."""

MAX_STREAMS: Final = 8
"""A message may be several streams of deflate, one after another (7.2.3.4). Real ones are one or two."""


class TooLarge(Exception):
    """A message is larger than allowed once it is inflated."""


def compressor(level: int) -> zlib._Compress:
    """Return a compressor without a past, of the widest window, which every client can inflate (7.1.2)."""
    return zlib.compressobj(level, wbits=-zlib.MAX_WBITS)


def slack(size: int) -> int:
    """Return by how much a message of ``size`` bytes may grow when it is compressed (zlib: 321 B a MiB)."""
    return 1024 + size // 1024
