"""
What goes wrong between a client and its server, as exceptions whose text is one clear sentence.

Everything raised for a reason outside the program derives from :class:`ClientError`; a wrong argument is an
:class:`~trioecho.options.OptionError` instead, raised before anything is sent.
"""

from __future__ import annotations

from trioecho.protocol.escape import quote

__all__ = [
    "CertificateNotTrusted",
    "ClientError",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "NotWebSocket",
    "Rejected",
]

SHOWN_BODY = 200
"""How much of a refusal's body its sentence quotes (characters): enough for a line of explanation."""


class ClientError(Exception):
    """A connection could not be opened, or is no longer there. ``str()`` is one sentence for a person."""


class ConnectFailed(ClientError):
    """No connection: the name, the network, TLS, a timeout, or an answer that is not a WebSocket server's."""


class CertificateNotTrusted(ConnectFailed):
    """The server's certificate was not accepted: unknown issuer, wrong name, or out of date."""


class NotWebSocket(ConnectFailed):
    """Something answered, but not as a WebSocket server does."""


class Rejected(ConnectFailed):
    """
    The server, or a proxy in front of it, rejected the request with an HTTP status.

    ``status`` is that number, ``headers`` the response's header fields (names in lower case), ``body`` the
    start of its body (bytes, bounded).
    """

    def __init__(
        self,
        where: str,
        status: int,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        *,
        asked: str = "open a WebSocket",
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        said = quote(" ".join(body.decode(errors="replace").split()), SHOWN_BODY)
        super().__init__(
            f"{where} did not {asked}: it answered HTTP {status}" + (f" ({said})" if said else "")
        )


class ConnectionClosed(ClientError):
    """
    The connection is closed, so nothing can be sent or received any more.

    ``code`` and ``reason`` are what the close frame said (RFC 6455, section 7.4), whoever sent it first;
    ``code`` is 1005 for a close frame without a code.
    """

    def __init__(self, sentence: str, code: int, reason: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.reason = reason


class ConnectionLost(ConnectionClosed):
    """
    The connection ended without a proper close: aborted, timed out, or broken off over a protocol error.

    ``code`` is 1006 when no close frame was seen (7.1.5), and otherwise the code that we ended it with.
    """
