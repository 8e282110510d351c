"""Options of rooms that span several processes and machines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from trioecho.engine_url import EngineOption
from trioecho.option_kinds import Choice, Seconds, Text
from trioecho.options import Group, OptionError

__all__ = ["Order", "Sharing", "WhenEngineDown"]

Order = Literal["room", "node"]
WhenEngineDown = Literal["local", "wait"]


@dataclass(frozen=True, kw_only=True)
class Sharing(Group):
    """
    Several processes.

    Raises:
        OptionError: a value can't be. The sentence holds no password.

    """

    title: ClassVar[str] = "Several processes"

    engine: Annotated[
        str | None,
        EngineOption(
            "Share all rooms with the other servers that name the same Redis or Valkey: redis://HOST:PORT/0,"
            " rediss:// with TLS, redis+sentinel://HOST,HOST/NAME/0, unix:PATH. A password in it is safer in"
            " a file or a variable."
        ),
    ] = field(default=None, repr=False)
    """
    The Redis (7.0 or later) or Valkey (7.2 or later) that this server shares its rooms through, as
    ``redis://user:password@host:6379/0``, ``rediss://`` with TLS (``?ca=FILE`` for certificates of your
    own, ``cert=FILE&key=FILE`` for one to show the engine), or ``unix:/path``; several hosts with commas
    between them are a primary and its replicas, or with ``redis+sentinel://host,host/name/0`` the
    sentinels that know the primary of this name. Every server that names the same one has the same rooms.
    ``None``: a server's rooms are its own.
    """

    engine_prefix: Annotated[
        str,
        Text("What the engine's keys and channels begin with: services that share one need different ones."),
    ] = "te1"
    """What the names of keys and channels begin with, for several services that share one engine."""

    order: Annotated[
        Order,
        Choice(
            "In which order messages go out, with an engine. room: everybody gets them in one order, from"
            " the engine; node: a server's own clients get at once what is said there, so each server has"
            " an order of its own.",
            "ORDER",
            of=Order,
        ),
    ] = "room"
    """
    In which order the messages of a shared room go out. ``room``: in one, for everybody on all servers, so
    what is said goes through the engine before anybody gets it. ``node``: what is said on a server goes to
    its own WebSocket clients at once, whether the engine is there or not. Each sender's messages stay in
    order, but those of different senders may come in another order on another server. Whoever depends on
    places still gets everything in the room's one order: subscriptions, events, clients that speak
    ``trioecho.v1`` or began in the past, and with ``tell_missed`` everybody.
    """

    engine_patience: Annotated[
        float, Seconds("How long messages wait for an engine that is away before --when-engine-down counts.")
    ] = 5.0
    """
    How long messages wait, in order, for an engine that is away, before ``when_engine_down`` decides. A
    restart or a failover takes one to three seconds.
    """

    when_engine_down: Annotated[
        WhenEngineDown,
        Choice(
            "What happens when the engine stays away. local: each server goes on by itself and shares later"
            " what was said; wait: publishers wait until it is back.",
            "POLICY",
            of=WhenEngineDown,
        ),
    ] = "local"
    """
    What happens when the engine is away for longer. ``local``: each server gives what its clients say to
    its own clients, and to the others when the engine is back: nobody gets anything twice, but not all have
    one order. ``wait``: publishers go on waiting, and ``/readyz`` answers 503.
    """

    def __post_init__(self) -> None:
        """Check every value, and that the prefix is a plain word."""
        super().__post_init__()
        if not re.fullmatch("[A-Za-z0-9._:-]{1,64}", self.engine_prefix):
            raise OptionError(
                "engine_prefix",
                "must be at most 64 letters, digits and any of ._:-, and at least one",
            )
