"""
What a client asks for that would be a WebSocket, held against RFC 6455.

The head is read and judged by us before trio-websocket sees the connection: some bytes in it would end that
library's reader with an error (a Host with a byte over 0x7F, garbage and a reset). What trio-websocket gets
is a head of our own that holds the client's key and nothing else of the client's.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from trioecho.http.request import Request
from trioecho.http.response import HTTPError, error_response

__all__ = ["Upgrade", "judge", "wanted"]

VERSION = "13"
"""The only version of the protocol there is (RFC 6455, 4.1)."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A client that may become one: its room, its key, and the bytes it sent after the head."""

    room: str
    key: bytes
    early: bytes
    subprotocol: str | None = None

    @property
    def head(self) -> bytes:
        """The head that trio-websocket is given in the place of the client's."""
        return (
            b"GET / HTTP/1.1\r\nHost: trioecho\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + self.key + b"\r\n\r\n"
        )


def wanted(request: Request) -> bool:
    """Whether the client asks for a WebSocket, rightly or not."""
    return "websocket" in request.tokens("upgrade") and "upgrade" in request.tokens("connection")


def judge(request: Request) -> Upgrade:
    """
    Hold a request against RFC 6455, section 4.2.1.

    Raises:
        HTTPError: it is not a right handshake.

    """
    if request.method != "GET" or not request.http11:
        raise HTTPError(error_response(400, "A WebSocket handshake is a GET of HTTP/1.1."))
    if request.values("content-length") or request.values("transfer-encoding"):
        raise HTTPError(error_response(400, "A WebSocket handshake has no body."))
    if request.values("sec-websocket-version") != [VERSION]:
        version = ("Sec-WebSocket-Version", VERSION)
        raise HTTPError(error_response(426, "Only version 13 of WebSocket is spoken here.", version))
    key = request.values("sec-websocket-key")
    if len(key) != 1 or not _is_key(key[0]):
        raise HTTPError(error_response(400, "Sec-WebSocket-Key must be 16 bytes in base64."))
    if not all(host.isascii() for host in request.values("host")):
        raise HTTPError(error_response(400, "The Host header must be ASCII."))
    return Upgrade(request.path, key[0].encode(), request.early)


def _is_key(key: str) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:  # binascii.Error is one, and so is what a character beyond ASCII gives
        return False
