"""A frame as bytes on the wire (RFC 6455, section 5.2): the few forms that a load generator needs."""

from __future__ import annotations

import struct

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "BadFrame", "header", "masked", "split"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

FINAL = 0x80

MAX_LENGTH = 2**25
"""Nothing that a run sends is half as long, so a longer frame is nonsense that must not be waited for."""


class BadFrame(Exception):
    """The server sent something that is no frame; the text says what."""


def header(opcode: int, length: int, *, mask_bit: int = 0) -> bytes:
    """The header of a final frame, up to the mask."""
    if length < 126:
        return bytes((FINAL | opcode, mask_bit | length))
    if length < 2**16:
        return struct.pack("!BBH", FINAL | opcode, mask_bit | 126, length)
    return struct.pack("!BBQ", FINAL | opcode, mask_bit | 127, length)


def masked(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """A whole final frame as a client must send it."""
    length = len(payload)
    stretched = (mask * (length // 4 + 1))[:length]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return header(opcode, length, mask_bit=0x80) + mask + mixed.to_bytes(length, "big")


def split(buffer: bytes, at: int) -> tuple[int, int, int] | None:
    """
    The frame that begins at ``at``: its first byte, and where its payload begins and ends.

    ``None`` if the frame is not all there yet.

    Raises:
        BadFrame: it is masked, uses an extension nobody asked for, or is absurdly long.

    """
    if len(buffer) - at < 2:
        return None
    first, second = buffer[at], buffer[at + 1]
    if second & 0x80:
        raise BadFrame("a masked frame")
    if first & 0x70:
        raise BadFrame("a frame with reserved bits")
    length, body = second, at + 2
    if second >= 126:
        body += 2 if second == 126 else 8
        if len(buffer) < body:
            return None
        length = int.from_bytes(buffer[at + 2 : body], "big")
    if length > MAX_LENGTH:
        raise BadFrame(f"a frame of {length} bytes")
    if len(buffer) < body + length:
        return None
    return first, body, body + length
