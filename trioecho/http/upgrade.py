"""
A WebSocket handshake: a request, checked against RFC 6455.

The request is read and checked by us before trio-websocket sees the connection: some bytes in it would end
that library's reader with an error (a Host with a byte over 0x7F, garbage and a reset). The whole of it is
kept, because who may come in, which subprotocol is spoken and what is compressed are decided by it.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from trioecho.http.negotiation import choose_subprotocol, offered_subprotocols
from trioecho.http.request import Request
from trioecho.http.response import HTTPError, error_response

__all__ = ["Upgrade", "parse_upgrade", "wants_upgrade"]

VERSION = "13"
"""The only version of the protocol there is (RFC 6455, 4.1)."""


@dataclass(frozen=True, slots=True)
class Upgrade:
    """
    A valid handshake, not yet answered.

    Attributes:
        request: the whole request: its Origin, query, and what it offers.
        subprotocol: the one that was chosen of those on offer; ``None``: none is spoken.

    """

    request: Request
    subprotocol: str | None = None

    @property
    def room(self) -> str:
        """The room that the client wants to be in."""
        return self.request.path

    @property
    def key(self) -> bytes:
        """Its Sec-WebSocket-Key, which the answer proves to have read."""
        return self.request.values("sec-websocket-key")[0].encode()

    @property
    def early(self) -> bytes:
        """The bytes it sent after the head, without waiting for the answer."""
        return self.request.early


def wants_upgrade(request: Request) -> bool:
    """Whether the client asks for a WebSocket, rightly or not."""
    return "websocket" in request.tokens("upgrade") and "upgrade" in request.tokens("connection")


def parse_upgrade(request: Request, subprotocols: Sequence[str] = (), *, heads: bool = True) -> Upgrade:
    """
    Check a request against RFC 6455, section 4.2.1, and choose its subprotocol.

    ``subprotocols`` are those spoken here; empty: whatever the clients agree on. ``heads``: whether
    ``trioecho.v1`` is too.

    Raises:
        HTTPError: it is not a valid handshake.

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
    return Upgrade(request, choose_subprotocol(offered_subprotocols(request), subprotocols, heads=heads))


def _is_key(key: str) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except ValueError:  # binascii.Error is one, and so is what a character beyond ASCII gives
        return False
