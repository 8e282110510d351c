"""
Heads: what ``trioecho.v1`` says before messages (see the manual's page on it).

A head is a text message, a JSON object. It says how many messages follow, exactly as they are, and where in
the room they are; or, with none following, only where the client is and how many messages it has missed.
"""

from __future__ import annotations

from trioecho.protocol.frames import TEXT, data_frame

__all__ = ["SUBPROTOCOL", "encode_head", "encode_presence_head"]

SUBPROTOCOL = "trioecho.v1"
"""What a client offers that understands heads."""


def encode_head(epoch: str, offset: int, count: int, missed: int | None = 0) -> bytes:
    """
    Return a head as a frame.

    Args:
        epoch: the name of the count.
        offset: how many messages the room had said in it before those that follow.
        count: how many follow.
        missed: how many are missing before these; ``None``: nobody knows.

    """
    tail = "" if missed == 0 else ',"missed":null' if missed is None else f',"missed":{missed}'
    return data_frame(TEXT, f'{{"epoch":"{epoch}","offset":{offset},"count":{count}{tail}}}'.encode())


def encode_presence_head(presence: bytes) -> bytes:
    """Return a head that says only who is in the room, given as a JSON object; it has no place."""
    return data_frame(TEXT, b'{"count":0,"presence":%s}' % presence)
