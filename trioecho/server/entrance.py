"""
The entrance: what every connection goes through before its first request.

In this order, as the bytes come: the PROXY header of a trusted proxy, the TLS handshake, and who is there.
All of it is done in the connection's own task, so that one slow client holds up nobody.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import trio

from trioecho.http.forwarded import TrustedProxies
from trioecho.log import logger
from trioecho.options import OptionError
from trioecho.settings import Transport
from trioecho.transport.peer import Peer, resolve_peer
from trioecho.transport.proxy_protocol import Source, read_proxy_header
from trioecho.transport.socket_stream import PlainSocket
from trioecho.transport.tls_context import ReloadingContext, TLSError, TLSFiles
from trioecho.transport.tls_socket import TLSSocket

__all__ = ["Entrance", "entrance_of"]

TCP = (socket.AF_INET, socket.AF_INET6)


class Entrance:
    """
    How connections begin.

    Attributes:
        tls: what connections over TCP are wrapped in; Unix sockets never are.
        trusted: the proxies whose word is taken.
        proxy_protocol: whether those begin every connection with a PROXY header.

    """

    __slots__ = ("proxy_protocol", "tls", "trusted")

    def __init__(
        self,
        tls: ReloadingContext | None = None,
        trusted: TrustedProxies | None = None,
        *,
        proxy_protocol: bool = False,
    ) -> None:
        self.tls = tls
        self.trusted = trusted or TrustedProxies()
        self.proxy_protocol = proxy_protocol

    def wraps(self, stream: trio.abc.Stream) -> bool:
        """Whether ``stream`` is to speak TLS and does not do so by itself."""
        return self.tls is not None and isinstance(stream, PlainSocket) and stream.socket.family in TCP

    def waits(self, stream: trio.abc.Stream) -> bool:
        """Whether bytes of ``stream`` are needed to say who is there."""
        return self.proxy_protocol or self.wraps(stream) or isinstance(stream, (trio.SSLStream, TLSSocket))

    def sealed(self, stream: trio.abc.Stream, received: bytes = b"") -> trio.abc.Stream:
        """Wrap a plain socket in TLS, with the certificate that the files hold now."""
        if self.tls is None or not isinstance(stream, PlainSocket):
            return stream
        self._say(*self.tls.refresh())
        return TLSSocket(stream.socket, self.tls.context, received=received)

    def reload(self) -> None:
        """Read the certificate's files again, for the handshakes to come; log what came of it."""
        if self.tls is not None:
            self._say(True, self.tls.reload())

    def _say(self, read: bool, problem: str | None) -> None:
        if problem is not None:
            logger.error("%s", problem)
        elif read and self.tls is not None:
            logger.info("the TLS certificate has been read again: %s", self.tls.files.cert)
            if self.tls.warning is not None:
                logger.warning("%s", self.tls.warning)

    async def proxy_source(self, stream: trio.abc.Stream) -> tuple[Source | None, bytes]:
        """
        Read the PROXY header, if the peer is one who has to send it, and what came with it.

        Raises:
            ProxyProtocolError: there is none. trio.BrokenResourceError: the connection is gone.

        """
        if not self.proxy_protocol or not isinstance(stream, PlainSocket):
            return None, b""
        if (await resolve_peer(stream)).host not in self.trusted:
            return None, b""
        return await read_proxy_header(stream)

    async def arrive(
        self,
        stream: trio.abc.Stream,
        source: Source | None,
        take_turn: Callable[[], Awaitable[None]] | None = None,
    ) -> Peer:
        """
        Shake hands if it is TLS, and say who is there; ``take_turn`` is waited for before each step.

        Raises:
            trio.BrokenResourceError: the TLS handshake failed.

        """
        peer = await resolve_peer(stream, take_turn=take_turn)
        if source is None or source.host is None:
            return peer
        scheme: Literal["http", "https"] = "https" if source.tls or peer.scheme == "https" else "http"
        # A certificate shown here is the client's own where the proxy passes TLS on, else the proxy knows it.
        subject = peer.tls_subject or source.tls_subject
        return replace(peer, host=source.host, port=source.port or None, scheme=scheme, tls_subject=subject)


def entrance_of(options: Transport) -> Entrance:
    """
    Make an entrance as the options say.

    Raises:
        OptionError: a file cannot be used, or a network is none.

    """
    tls = None
    if options.tls_cert is not None:
        if os.name != "posix":
            raise OptionError("tls_cert", "needs a POSIX system; give listeners of trio.SSLListener instead")
        files = TLSFiles(
            cert=Path(options.tls_cert),
            key=None if options.tls_key is None else Path(options.tls_key),
            client_ca=None if options.tls_client_ca is None else Path(options.tls_client_ca),
        )
        try:
            tls = ReloadingContext(files)
        except TLSError as error:
            raise OptionError("tls_cert", f"cannot be used: {error}") from None
        if tls.warning is not None:
            logger.warning("%s", tls.warning)
    return Entrance(tls, TrustedProxies(options.trusted_proxy), proxy_protocol=options.proxy_protocol)
