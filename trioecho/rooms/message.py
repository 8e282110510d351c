"""A message of the application's, as it goes on the wire."""

from __future__ import annotations

from trioecho.protocol import frames

__all__ = ["encoded_message"]


def encoded_message(message: str | bytes, limit: int) -> bytes:
    """
    Return a message of at most ``limit`` bytes as a frame.

    Raises:
        TypeError: it is neither ``str`` nor ``bytes``.
        ValueError: it is larger, or text that UTF-8 cannot encode.

    """
    frame = frames.encode(message)
    if len(frame) > limit:  # with its header: only then is it worth counting the payload
        size = len(message.encode() if isinstance(message, str) else message)
        if size > limit:
            raise ValueError(f"the message has {size} bytes; max_message_size is {limit}")
    return frame
