"""A request as the gate sees it: the real one, with a peer."""

from __future__ import annotations

from dataclasses import dataclass, field

from trioecho.http.request import Request


@dataclass(frozen=True, slots=True)
class At:
    """Where a request comes from."""

    host: str | None = "192.0.2.1"
    scheme: str = "http"
    tls_subject: str | None = None


@dataclass(slots=True, eq=False)
class PeerRequest(Request):
    """A request, and who sent it."""

    peer: At = field(default_factory=At)


def asked(
    target: str = "/room",
    *headers: tuple[str, str],
    method: str = "GET",
    host: str | None = "localhost:8765",
    peer: At | None = None,
) -> PeerRequest:
    """Make a request for a path and query; its headers' names are in small letters."""
    path, _, query = target.partition("?")
    if host is not None:
        headers = (("host", host), *headers)
    return PeerRequest(method, path, query, headers, peer=peer or At())
