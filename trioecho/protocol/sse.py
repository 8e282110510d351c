"""
Messages as Server-Sent Events (the HTML standard, section 9.2).

A text is one event, a ``data:`` line for each of its lines; a binary message is an event named ``binary``
with the payload in base64. The format knows no CR: a CR or CRLF in a text arrives as LF.
"""

from __future__ import annotations

import re
from binascii import b2a_base64

from trioecho.protocol import frames
from trioecho.protocol.frames import TEXT

__all__ = ["KEEPALIVE", "encode_events"]

LINE_END = re.compile(rb"\r\n|\r|\n")

KEEPALIVE = b":\n\n"
"""A comment, which readers ignore: it keeps proxies from hanging up, and finds out who is gone."""


def encode_events(joined: bytes) -> bytes:
    """Return messages, given as frames, as events."""
    return b"".join([_event(first, payload) for first, payload in frames.payloads(joined)])


def _event(first: int, payload: bytes) -> bytes:
    if first != TEXT:
        return b"event: binary\ndata: " + b2a_base64(payload, newline=False) + b"\n\n"
    if b"\n" in payload or b"\r" in payload:
        payload = b"\ndata: ".join(LINE_END.split(payload))
    return b"data: " + payload + b"\n\n"
