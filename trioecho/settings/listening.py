"""Options of where a server listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.option_kinds import Text, Texts, Whole
from trioecho.options import Group

__all__ = ["Listening"]


@dataclass(frozen=True, kw_only=True)
class Listening(Group):
    """
    Where to listen.

    Not part of :class:`Settings`: who embeds a server can hand over listeners instead, and these are then
    not needed.
    """

    title: ClassVar = "Where to listen"

    host: Annotated[
        tuple[str, ...],
        Texts("Name or address to listen on; may be given several times.", metavar="HOST"),
    ] = ("127.0.0.1",)
    """Name or address to listen on, or several; every address of a name is used."""

    port: Annotated[
        int, Whole("TCP port; 0 picks a free one and says which.", metavar="PORT", low=0, high=65_535)
    ] = 7890
    """TCP port; 0 picks a free one, which ``server.url`` then says."""

    metrics_address: Annotated[
        str | None,
        Text(
            "Answer /healthz, /readyz and /metrics on an address of their own, not beside the rooms.",
            metavar="HOST:PORT",
            optional=True,
        ),
    ] = None
    """``HOST:PORT`` where ``/healthz``, ``/readyz`` and ``/metrics`` are answered, and then only there."""
