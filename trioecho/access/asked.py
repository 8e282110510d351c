"""What the gate looks at: a request, and the peer that sent it, as it needs them."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Asked", "Peer"]


class Peer(Protocol):
    """Who is at the other end of the connection; behind a trusted proxy, who is behind the proxy."""

    @property
    def host(self) -> str | None:
        """The IP address, or ``None`` where there is none (a Unix socket)."""

    @property
    def scheme(self) -> str:
        """``http`` or ``https``: how the client came."""

    @property
    def tls_subject(self) -> str | None:
        """The name in the client's certificate, if TLS has verified one."""


class Asked(Protocol):
    """A request's head. A trusted proxy's ``X-Forwarded-Host`` has taken the place of ``Host`` by now."""

    @property
    def method(self) -> str:
        """The method, in capitals."""

    @property
    def path(self) -> str:
        """The path, percent-decoded: the room."""

    @property
    def query(self) -> str:
        """What follows the question mark, as it came."""

    @property
    def peer(self) -> Peer:
        """Who sent it."""

    def header(self, name: str) -> str | None:
        """Return the value of a header (its name in small letters), several as one list, or ``None``."""

    def values(self, name: str) -> list[str]:
        """Return the values of all headers of this name (in small letters)."""
