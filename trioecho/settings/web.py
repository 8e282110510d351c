"""Options of plain HTTP: for browsers, curl and machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.option_kinds import Switch, Url
from trioecho.options import Group

__all__ = ["Web"]


@dataclass(frozen=True, kw_only=True)
class Web(Group):
    """Browsers, curl and machines."""

    title: ClassVar[str] = "Browsers, curl and machines"

    page: Annotated[bool, Switch("Give browsers a page that shows a room and talks to it.")] = True
    """Serve a page to watch a room and talk in it to browsers that open the room's address."""

    events: Annotated[bool, Switch("Serve rooms as Server-Sent Events to clients that accept them.")] = True
    """Serve rooms as Server-Sent Events to clients that accept ``text/event-stream``."""

    stats: Annotated[bool, Switch("Serve a room's stats to clients that accept JSON.")] = True
    """Serve a room's stats to clients that accept ``application/json``."""

    presence: Annotated[
        bool, Switch("Tell clients that ask who else is in their room, by name and number.")
    ] = True
    """
    Tell who is in a room to those who may subscribe to it and ask: the names that clients were let in under,
    and how many there are without one.
    """

    health: Annotated[bool, Switch("Answer /healthz and /readyz.")] = True
    """Answer ``/healthz`` and ``/readyz``, for whatever watches over the process."""

    metrics: Annotated[bool, Switch("Answer /metrics, for Prometheus.")] = True
    """Answer ``/metrics`` with what Prometheus reads."""

    status: Annotated[
        bool,
        Switch("Answer /status: a page that draws what the server does, and JSON for trioecho top."),
    ] = True
    """
    Answer ``/status`` with a page that draws what the server does, and with JSON, which ``trioecho top``
    reads. Rooms and clients' addresses are named on a monitoring address of its own only.
    """

    public_url: Annotated[
        str | None,
        Url(
            "Where clients reach this server, if it is behind a proxy that adds TLS or a path; the help for"
            " curl, the page and the log then name it."
        ),
    ] = None
    """
    Where clients reach this server, as ``https://chat.example.com/`` (or ``wss://``), if that is not where it
    listens; kept with a slash at its end, so that a room's name can follow. A server behind a proxy cannot
    know the proxy's scheme and path, so the help for curl, the page and the log name what is said here.
    """

    def public(self, scheme: str) -> str | None:
        """:attr:`public_url` with ``http`` or ``ws`` as its scheme, or with TLS ``https`` or ``wss``."""
        if self.public_url is None:
            return None
        given, _, rest = self.public_url.partition("://")
        return f"{scheme}s://{rest}" if given in ("https", "wss") else f"{scheme}://{rest}"
