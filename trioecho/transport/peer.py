"""A peer: who is at the other end of a connection, as a value."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import trio

from trioecho.transport.tls_errors import subject_of
from trioecho.transport.tls_socket import TLSSocket

__all__ = ["Peer", "address_of", "resolve_peer", "socket_of"]

MAPPED = "::ffff:"


@dataclass(frozen=True, slots=True)
class Peer:
    """
    The other end of a connection; ``str(peer)`` is how log lines name it.

    Attributes:
        host: its address, as in ``127.0.0.1`` or ``::1``; ``unix`` over a Unix socket, ``memory`` over a
            stream without a socket, ``unknown`` when it was gone before it could be asked for.
        port: its TCP port, if it has one.
        scheme: ``https`` if the connection came over TLS.
        tls_subject: the common name in the client's certificate, if it showed one that was verified.

    """

    host: str
    port: int | None = None
    scheme: Literal["http", "https"] = "http"
    tls_subject: str | None = None

    def __str__(self) -> str:
        """As in ``127.0.0.1:50000``, ``[::1]:50000`` or ``unix``."""
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def resolve_peer(
    stream: trio.abc.Stream, *, take_turn: Callable[[], Awaitable[None]] | None = None
) -> Peer:
    """
    Find out who is at the other end of ``stream``, before anything is read from it.

    Over TLS the handshake is done here, because the client's certificate comes with it. The caller sets
    the deadline; ``take_turn`` is waited for before each step of it.

    Raises:
        trio.BrokenResourceError: the TLS handshake failed.

    """
    scheme: Literal["http", "https"] = "http"
    subject = None
    if isinstance(stream, trio.SSLStream):
        await stream.do_handshake()
        scheme, subject = "https", subject_of(stream.getpeercert())
    elif isinstance(stream, TLSSocket):
        await stream.do_handshake(take_turn=take_turn)
        scheme, subject = "https", stream.tls_subject
    peer = address_of(stream)
    return peer if scheme == "http" else Peer(peer.host, peer.port, scheme, subject)


def address_of(stream: trio.abc.Stream) -> Peer:
    """Return who is at the other end of ``stream``, as far as the system knows."""
    connected = socket_of(stream)
    if connected is None:
        return Peer("memory")
    try:
        name = connected.getpeername()
    except OSError:
        return Peer("unknown")
    return Peer(_unmapped(name[0]), name[1]) if isinstance(name, tuple) else Peer("unix")


def _unmapped(host: str) -> str:
    """Return the IPv4 address that a socket for both kinds of address writes as IPv6 (RFC 4291, 2.5.5.2)."""
    return host.removeprefix(MAPPED) if host.startswith(MAPPED) and "." in host else host


def socket_of(stream: trio.abc.Stream) -> socket.socket | trio.socket.SocketType | None:
    """Return the socket under ``stream``, through TLS, or ``None`` if it has none."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    found = getattr(stream, "socket", None)  # trio's own stream has one, and so have ours
    return found if isinstance(found, (socket.socket, trio.socket.SocketType)) else None
