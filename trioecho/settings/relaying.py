"""Options of relaying: who gets what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from trioecho.option_kinds import Choice, Text, Tokens
from trioecho.options import Group

__all__ = ["Audience", "Relaying"]

Audience = Literal["others", "everyone", "sender"]


@dataclass(frozen=True, kw_only=True)
class Relaying(Group):
    """Who gets what."""

    title: ClassVar[str] = "Who gets what"

    to: Annotated[
        Audience,
        Choice(
            "Who gets a message: the others in the room, everyone, or only its sender (echo).",
            "AUDIENCE",
            of=Audience,
        ),
    ] = "others"
    """
    Who gets a message: the ``others`` in the room (a chat), ``everyone`` in it (the order the room
    agreed on is then the order the sender sees), or the ``sender`` alone (an echo server).
    """

    prefix: Annotated[str, Text("Put before every text message that is relayed.", most=1024)] = ""
    """
    Put before every text message that is relayed. Empty: messages pass verbatim. At most 1024 bytes, because
    it is copied into every message.
    """

    subprotocols: Annotated[
        tuple[str, ...],
        Tokens(
            "A subprotocol that is spoken here; may be given several times. A client gets the first of them"
            " that it offered. Without it, the first that a client offers is accepted.",
            flag="subprotocol",
        ),
    ] = ()
    """
    The subprotocols that are spoken here (RFC 6455, section 1.9): a client gets the first that it offered
    and that is one of these, or none. Empty: a relay speaks whatever its clients agree on, so a client
    gets the first that it offered.
    """
