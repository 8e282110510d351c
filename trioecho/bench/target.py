"""The server that is driven: where it is, and how to trust it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trioecho.options import OptionError
from trioecho.protocol.deflate_answer import OFFER
from trioecho.protocol.url import Address, parse_address
from trioecho.system_errors import reason_of

__all__ = ["Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """
    A WebSocket server.

    ``tls`` is ``None`` without TLS; ``credentials`` are lines of the request's head that say who asks.
    ``compress``: whether the server is offered to compress what it sends.
    """

    address: Address
    tls: ssl.SSLContext | None = None
    credentials: tuple[str, ...] = field(default=(), repr=False)
    compress: bool = False

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        cacert: Path | None = None,
        insecure: bool = False,
        token: str | None = None,
        token_as: Literal["header", "subprotocol"] = "header",
        compress: bool = False,
    ) -> Target:
        """
        Parse a URL, as :func:`~trioecho.protocol.url.parse_address` does for the client too.

        Certificates are checked against the system's authorities, or against those in ``cacert``, or, if
        ``insecure``, not at all. A token is presented by each connection.

        Raises:
            OptionError: it is not such a URL, or the authorities cannot be read.

        """
        address = parse_address(url)
        credentials = [f"Authorization: {address.authorization}"] if address.authorization else []
        if token is not None:
            header = f"Authorization: Bearer {token}", f"Sec-WebSocket-Protocol: bearer.{token}"
            credentials = [header[token_as == "subprotocol"]]
        return cls(address, _trust(cacert, insecure) if address.tls else None, tuple(credentials), compress)

    def room(self, number: int, rooms: int) -> str:
        """Return the path of one of so many rooms; a lone room is the URL's path itself."""
        if rooms == 1:
            return self.address.resource
        path, question, query = self.address.resource.partition("?")
        return f"{path.rstrip('/')}/{number}{question}{query}"

    def addresses(self) -> list[tuple[int, Any]]:
        """
        Return the families and addresses of the sockets to connect to, in the order of preference.

        Raises:
            OSError: the host has none.

        """
        if self.address.unix is not None:
            return [(socket.AF_UNIX, self.address.unix)]
        found = socket.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    def request(self, path: str, key: bytes) -> bytes:
        """Return the request of the handshake for a path (RFC 6455, section 4.1)."""
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: {self.address.host_header}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            *([f"Sec-WebSocket-Extensions: {OFFER}"] if self.compress else []),
            *self.credentials,
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def __str__(self) -> str:
        return self.address.origin


def _trust(cacert: Path | None, insecure: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert)
    except ssl.SSLError:
        raise OptionError(
            "cacert", f"{cacert} holds no certificate that can be used (it must be PEM)"
        ) from None
    except OSError as error:
        raise OptionError("cacert", f"{cacert} cannot be read: {reason_of(error)}") from None
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
