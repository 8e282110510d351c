"""What a client's frame is, by its first byte."""

from __future__ import annotations

from typing import Final

from trioecho.protocol.deflate import RSV1
from trioecho.protocol.frames import BINARY, TEXT

__all__ = ["CONTROL", "DEFLATED", "END", "KINDS", "MIDDLE", "START", "WHOLE", "WITH_DEFLATED"]

WHOLE: Final = 1
CONTROL: Final = 2
START: Final = 3
MIDDLE: Final = 4
END: Final = 5
DEFLATED: Final = 6

KINDS: Final = {
    TEXT: WHOLE,
    BINARY: WHOLE,
    0x01: START,
    0x02: START,
    0x00: MIDDLE,
    0x80: END,
    0x88: CONTROL,
    0x89: CONTROL,
    0x8A: CONTROL,
}
"""What a frame's first byte makes it; any other has a reserved bit or opcode, or breaks a control frame."""

WITH_DEFLATED: Final = {
    **KINDS,
    TEXT | RSV1: DEFLATED,
    BINARY | RSV1: DEFLATED,
    0x01 | RSV1: START,
    0x02 | RSV1: START,
}
"""The same where compression was agreed on: only the first frame of a message says so (RFC 7692, 6.1)."""
