"""Options of where a server listens."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.option_kinds import Text, Texts, Whole
from trioecho.options import Group, OptionError

__all__ = ["Listening"]


@dataclass(frozen=True, kw_only=True)
class Listening(Group):
    """
    Where to listen.

    Not part of :class:`Settings`: who embeds a server can hand over listeners instead, and these are then
    not needed.
    """

    title: ClassVar[str] = "Where to listen"

    host: Annotated[
        tuple[str, ...],
        Texts("Name or address to listen on; may be given several times.", metavar="HOST"),
    ] = ("127.0.0.1",)
    """Name or address to listen on, or several; every address of a name is used."""

    port: Annotated[
        int, Whole("TCP port; 0 picks a free one and says which.", metavar="PORT", low=0, high=65_535)
    ] = 7890
    """TCP port; 0 picks a free one, which ``server.url`` then says."""

    unix: Annotated[
        str | None,
        Text(
            "Listen on this Unix socket; on TCP too only if --host or --port say so.",
            "PATH",
            most=4096,
            optional=True,
        ),
    ] = None
    """Path of a Unix socket. With it, TCP is listened on only where host or port are not the defaults."""

    unix_mode: Annotated[
        str, Text("Permissions of the Unix socket, in octal: 660 is its owner and group.", "MODE")
    ] = "660"
    """Who may connect to the Unix socket: permissions in octal."""

    metrics_address: Annotated[
        str | None,
        Text(
            "Answer /healthz, /readyz, /metrics and /status on an address of their own, not beside the"
            " rooms.",
            metavar="HOST:PORT",
            optional=True,
        ),
    ] = None
    """
    ``HOST:PORT`` where ``/healthz``, ``/readyz``, ``/metrics`` and ``/status`` are answered, and then only
    there.
    """

    workers: Annotated[
        str,
        Text(
            "How many processes serve, or auto: one for each processor. They share their rooms, through a"
            " private Valkey or Redis if --engine names none.",
            "N",
        ),
    ] = "1"
    """
    How many processes serve, a number or ``auto`` (one for each processor). More than one share their rooms,
    through a private engine if none is named.
    """

    @property
    def worker_count(self) -> int:
        """How many processes that are."""
        if self.workers != "auto":
            return int(self.workers)
        affinity = getattr(os, "sched_getaffinity", None)  # not everywhere
        return len(affinity(0)) if affinity is not None else os.cpu_count() or 1

    @property
    def tcp(self) -> bool:
        """Whether a host or port was asked for that is not the default."""
        return (self.host, self.port) != (Listening.host, Listening.port)

    def __post_init__(self) -> None:
        """Check that the permissions are some."""
        super().__post_init__()
        if self.workers != "auto" and not re.fullmatch("[1-9][0-9]?|1[01][0-9]|12[0-8]", self.workers):
            raise OptionError("workers", f"must be a number from 1 to 128, or auto, not {self.workers!r}")
        if not re.fullmatch("0?[0-7]{3}", self.unix_mode):
            raise OptionError(
                "unix_mode", f"must be three octal digits, for example 660, not {self.unix_mode!r}"
            )
