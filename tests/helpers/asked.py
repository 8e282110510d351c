"""A request as the gate sees it, with a peer."""

from __future__ import annotations

from trioecho.http.request import Request
from trioecho.transport.peer import Peer

STRANGER = Peer("192.0.2.1", 50_000)


def asked(
    target: str = "/room",
    *headers: tuple[str, str],
    method: str = "GET",
    host: str | None = "localhost:8765",
    peer: Peer = STRANGER,
) -> Request:
    """Make a request for a path and query; its headers' names are in small letters."""
    path, _, query = target.partition("?")
    if host is not None:
        headers = (("host", host), *headers)
    return Request(method, path, query, headers, peer=peer)
