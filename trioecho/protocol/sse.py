"""
Messages as Server-Sent Events (the HTML standard, section 9.2).

A text is one event, a ``data:`` line for each of its lines; a binary message is an event named ``binary``
with the payload in base64. The format knows no CR: a CR or CRLF in a text arrives as LF.

An event's id is the place after it, which a browser sends in ``Last-Event-ID`` when it comes back.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator

from trioecho.protocol import frames
from trioecho.protocol.frames import TEXT

__all__ = ["KEEPALIVE", "encode_events", "encode_place", "encode_presence", "event_pieces", "is_cheap"]

KEEPALIVE = b":\n\n"
"""A comment, which readers ignore: it keeps proxies from hanging up, and finds out who is gone."""

PIECE_WORK = 16 * 1024
"""A piece of events is made of so many bytes of messages, fewer if they are many: half a millisecond."""

MESSAGE_WORK = 64
"""What each message counts beside its bytes: two microseconds."""

LEAST_WORK = 64
"""A piece is given away when no more is left."""

CHEAP_BYTES = 512 * 1024
"""More than this is never cheap, because all of it is copied (bytes): a millisecond."""


def encode_events(joined: bytes, epoch: str = "", offset: int = 0) -> bytes:
    """
    Return messages, given as frames, as events; ``offset`` others of ``epoch`` came before.

    Without an epoch they are at no place, and have no ids.
    """
    if not epoch:
        return b"".join([_event(first, payload) for first, payload in frames.payloads(joined)])
    name = epoch.encode()
    return b"".join(
        [
            b"id: %s-%d\n%s" % (name, number, _event(first, payload))
            for number, (first, payload) in enumerate(frames.payloads(joined), offset + 1)
        ]
    )


def encode_place(place: str, missed: int | None) -> bytes:
    """
    Return what says that ``missed`` messages are missing before ``place`` (``None``: nobody knows how many).

    With none missing it is no event, but a browser remembers the place as the last id it was given.
    """
    if missed == 0:
        return f"id: {place}\n\n".encode()
    number = "unknown" if missed is None else missed
    return f"id: {place}\nevent: missed\ndata: {number}\n\n".encode()


def encode_presence(presence: bytes) -> bytes:
    """Return the event that says who is in the room, given as a JSON object on one line; it has no id."""
    return b"event: presence\ndata: %s\n\n" % presence


def is_cheap(joined: bytes, count: int) -> bool:
    """Whether ``count`` messages, given as frames, are little work as events: at most a millisecond."""
    lines = joined.count(b"\n") + joined.count(b"\r")
    return len(joined) <= CHEAP_BYTES and count * MESSAGE_WORK + lines <= PIECE_WORK


def event_pieces(joined: bytes, epoch: str = "", offset: int = 0) -> Iterator[bytes]:
    """
    Give what :func:`encode_events` returns in pieces, each little work; a piece is made when it is asked for.

    What is large need not be much work, but what is much work is only ever made so.
    """
    made: list[bytes] = []
    left = PIECE_WORK
    for number, (first, payload) in enumerate(frames.payloads(memoryview(joined)), offset + 1):
        if epoch:
            made.append(f"id: {epoch}-{number}\n".encode())
        text = first == TEXT
        made.append(b"data: " if text else b"event: binary\ndata: ")
        left -= MESSAGE_WORK
        at = 0
        while at < len(payload):
            if left < LEAST_WORK:
                yield b"".join(made)
                made, left = [], PIECE_WORK
            stop = at + left - left % 3  # which base64 takes together
            if text and bytes(payload[stop - 1 : stop + 1]) == b"\r\n":
                stop += 1
            part = bytes(payload[at:stop])
            made.append(_lines(part) if text else b2a_base64(part, newline=False))
            left -= len(part)
            at = stop
        made.append(b"\n\n")
        if left < LEAST_WORK:
            yield b"".join(made)
            made, left = [], PIECE_WORK
    if made:
        yield b"".join(made)


def _event(first: int, payload: bytes) -> bytes:
    if first != TEXT:
        return b"event: binary\ndata: " + b2a_base64(payload, newline=False) + b"\n\n"
    return b"data: " + _lines(payload) + b"\n\n"


def _lines(payload: bytes) -> bytes:
    """Put each line of a text on a line of its own, where ``data:`` stands before the first already."""
    if b"\r" in payload:
        payload = payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return payload.replace(b"\n", b"\ndata: ")
