"""
Frames as bytes on the wire (RFC 6455, section 5).

A server's frames are not masked, so one ``bytes`` serves every client: what is encoded here is written to
all of them as it is, alone or joined with its neighbours. A client's frames are: :func:`masked`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import TypeVar

__all__ = [
    "BINARY",
    "CLOSE",
    "FIN",
    "MAX_LENGTH",
    "PING",
    "TEXT",
    "BadFrame",
    "Opcode",
    "close",
    "data_frame",
    "encode",
    "header",
    "is_utf8",
    "masked",
    "messages",
    "payloads",
    "skip",
    "split",
    "xor",
]

FIN = 0x80
"""The bit of a frame's first byte that says that no fragment follows (5.2)."""

TEXT, BINARY, CLOSE = 0x81, 0x82, 0x88
"""First bytes of final frames: the FIN bit and the opcode (5.2)."""

PING = b"\x89\x00"
"""A keepalive ping. It needs no payload, because any byte from the client answers it."""

MAX_REASON_BYTES = 123
"""A close frame is a control frame (at most 125 bytes), and two of those are its code (5.5.1)."""

MAX_LENGTH = 2**25
"""The longest payload (32 MiB) that :func:`split` waits for: no message that we send is half as long."""

XOR_PIECE = 64 * 1024
"""Masks are removed in pieces of at most this many bytes: a multiple of 4, so that the mask stays in step."""


class Opcode(IntEnum):
    """What a frame is (5.2): the low half of its first byte."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class BadFrame(Exception):
    """A server sent something that is not a frame; the text says what."""


def header(first: int, length: int, *, mask_bit: int = 0) -> bytes:
    """Return a frame's header, up to the mask (5.2)."""
    if length < 126:
        return bytes((first, mask_bit | length))
    if length < 65_536:
        return struct.pack("!BBH", first, mask_bit | 126, length)
    return struct.pack("!BBQ", first, mask_bit | 127, length)


SHORT_HEADERS = {
    first: [header(first, length) for length in range(126)] for first in (TEXT, BINARY, 0xC1, 0xC2)
}
"""Of text and binary frames, plain and compressed (RFC 7692, 6.1)."""


def data_frame(first: int, payload: bytes | bytearray) -> bytes:
    """One final text or binary frame, plain or compressed."""
    length = len(payload)
    if length < 126:
        return SHORT_HEADERS[first][length] + payload
    return header(first, length) + payload


def encode(message: str | bytes) -> bytes:
    """
    Return ``message`` as one frame: ``str`` as text, ``bytes`` as binary.

    Raises:
        TypeError: it is neither.
        UnicodeEncodeError: it is text with a lone surrogate, which UTF-8 cannot carry.

    """
    if isinstance(message, str):
        return data_frame(TEXT, message.encode())
    if isinstance(message, (bytes, bytearray, memoryview)):
        return data_frame(BINARY, bytes(message))
    raise TypeError(f"a message is str or bytes, not {type(message).__name__}")


def close(code: int, reason: str) -> bytes:
    """Return a close frame; a reason that is too long is cut between characters."""
    text = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return bytes((CLOSE, len(text) + 2)) + struct.pack("!H", code) + text


def masked(first: int, payload: bytes, mask: bytes) -> bytes:
    """Return a whole frame as a client must send it (5.3)."""
    return header(first, len(payload), mask_bit=0x80) + mask + xor(payload, mask)


def split(buffer: bytes, at: int, *, allowed: int = 0) -> tuple[int, int, int] | None:
    """
    Parse a server's frame that begins at ``at``: its first byte, and where its payload begins and ends.

    ``None`` if the frame is not all there yet. ``allowed``: the reserved bits that it may have.

    Raises:
        BadFrame: it is masked, uses an extension that was not negotiated, or is absurdly long.

    """
    if len(buffer) - at < 2:
        return None
    first, second = buffer[at], buffer[at + 1]
    if second & 0x80:
        raise BadFrame("a masked frame")
    if first & 0x70 & ~allowed:
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


Data = TypeVar("Data", bytes, memoryview)


def payloads(frames: Data) -> Iterator[tuple[int, Data]]:
    """Take frames that :func:`encode` made apart again: the first byte and the payload of each."""
    at = 0
    while at < len(frames):
        first, length = frames[at], frames[at + 1]
        at += 2
        if length == 126:
            length, at = int.from_bytes(frames[at : at + 2], "big"), at + 2
        elif length == 127:
            length, at = int.from_bytes(frames[at : at + 8], "big"), at + 8
        yield first, frames[at : at + length]
        at += length


def skip(frames: bytes, at: int, count: int) -> int:
    """Return where the frame begins that is ``count`` frames after the one at ``at``."""
    for _ in range(count):
        length = frames[at + 1]
        if length < 126:
            at += 2 + length
        elif length == 126:
            at += 4 + int.from_bytes(frames[at + 2 : at + 4], "big")
        else:
            at += 10 + int.from_bytes(frames[at + 2 : at + 10], "big")
    return at


def messages(frames: bytes) -> Iterator[str | bytes]:
    """Take frames that :func:`encode` made apart again: one message a frame."""
    for first, payload in payloads(frames):
        yield payload.decode() if first == TEXT else payload


def is_utf8(payload: bytes | bytearray) -> bool:
    """Whether a message may be text (RFC 6455, 8.1)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def xor(payload: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """
    Put a mask on or take it off (5.3): every byte with the mask's byte at its place modulo 4.

    As one operation on long integers, which is the fastest that plain Python has; large payloads go in
    pieces, so that the integers stay small.
    """
    length = len(payload)
    if length > XOR_PIECE:
        pieces = range(0, length, XOR_PIECE)
        return b"".join([xor(payload[at : at + XOR_PIECE], mask) for at in pieces])
    stretched = (mask * (length // 4 + 1))[:length]
    number = int.from_bytes(payload, "little") ^ int.from_bytes(stretched, "little")
    return number.to_bytes(length, "little")
