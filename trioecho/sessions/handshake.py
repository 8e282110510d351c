"""The answer that makes a connection a WebSocket (RFC 6455, section 4.2.2)."""

from __future__ import annotations

from wsproto.utilities import generate_accept_token

__all__ = ["switching_protocols"]


def switching_protocols(key: bytes, subprotocol: str | None = None, extension: str | None = None) -> bytes:
    """
    Return the head of the 101 for a client's ``Sec-WebSocket-Key``, as bytes.

    ``subprotocol`` is one that the client offered, if one was chosen: a token, which needs no quoting.
    ``extension`` is what was agreed on of those that it offered.
    """
    chosen = b"" if subprotocol is None else b"Sec-WebSocket-Protocol: %s\r\n" % subprotocol.encode("ascii")
    if extension is not None:
        chosen += b"Sec-WebSocket-Extensions: %s\r\n" % extension.encode("ascii")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: WebSocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %s\r\n%s\r\n" % (generate_accept_token(key), chosen)
    )
