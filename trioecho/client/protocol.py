"""
The WebSocket protocol of one connection, without its sockets: wsproto's, in the pieces and bounds we want.

Compressed bytes may become a thousand times as many, so where compression was agreed on they are fed in small
pieces: in between, other tasks run, and a program that takes no messages stops the reader.
"""

from __future__ import annotations

from collections.abc import Iterator

import wsproto.events as events
from wsproto.connection import Connection, ConnectionType

from trioecho.client.assembly import Assembly
from trioecho.client.deflate import Deflate
from trioecho.client.handshake import Handshake

__all__ = ["ClientProtocol"]

PIECE = 1024
"""How many compressed bytes are inflated at one go: they become 1 MiB at most, which takes about 2 ms."""

TOO_BIG, INVALID = 1009, 1007


class ClientProtocol(Connection):
    """
    wsproto's connection on the client's side, after the handshake.

    Attributes:
        compressed: whether the server may send compressed messages.

    """

    def __init__(self, handshake: Handshake, max_message_size: int) -> None:
        self.compressed = handshake.keeps_past is not None
        super().__init__(
            ConnectionType.CLIENT,
            [Deflate(max_message_size, keeps_past=bool(handshake.keeps_past))] if self.compressed else [],
        )
        self._largest = max_message_size
        self._assembly = Assembly(max_message_size)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Take what came apart into pieces that can be fed."""
        if not self.compressed:
            yield data
        else:
            for at in range(0, len(data), PIECE):
                yield data[at : at + PIECE]

    def encode(self, message: str | bytes) -> bytes:
        """Return the frame of a message."""
        event = events.TextMessage(message) if isinstance(message, str) else events.BytesMessage(message)
        return self.send(event)

    def add(self, event: events.TextMessage | events.BytesMessage) -> str | bytes | None:
        """Add a part of a message; returns the message when it is complete; raises ``TooLarge``."""
        return self._assembly.add(event)

    def broken(self, code: int, reason: str = "") -> str:
        """Say in words what the server did that we end the connection for with this code."""
        if code == TOO_BIG:
            return f"sent a message of more than {self._largest} bytes (max-message-size)"
        if code == INVALID and self.compressed and reason == "error in extension":
            reason = "a message is no valid deflate"
        return f"broke the protocol: {reason}"
