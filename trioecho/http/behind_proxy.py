"""A request as its client meant it, where a trusted proxy has passed it on."""

from __future__ import annotations

from dataclasses import replace

from trioecho.http.forwarded import TrustedProxies, origin_behind
from trioecho.http.request import Request
from trioecho.transport.peer import Peer

__all__ = ["set_origin"]


def set_origin(request: Request, peer: Peer, trusted: TrustedProxies) -> None:
    """
    Set who sent ``request``: ``peer``, or who is behind it if it is trusted.

    ``X-Forwarded-Host`` then takes the place of ``Host``, so that the request asks for what the client did;
    of several values the last one counts, which the nearest proxy has written.
    """
    request.peer = peer
    if not trusted or peer.host not in trusted:
        return
    origin = origin_behind(peer.host, request.headers, trusted)
    if origin.host != peer.host:
        # The port and the certificate are the proxy's.
        peer = Peer(origin.host, None, peer.scheme)
    if origin.scheme is not None:
        peer = replace(peer, scheme="https" if origin.scheme == "https" else "http")
    request.peer = peer
    hosts = [part.strip() for value in request.values("x-forwarded-host") for part in value.split(",")]
    if hosts and hosts[-1]:
        request.set_header("host", hosts[-1])
