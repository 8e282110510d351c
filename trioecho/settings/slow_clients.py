"""Options for clients that read more slowly than their room talks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from trioecho.limits import GIB, MIB
from trioecho.option_kinds import Choice, Seconds, Size
from trioecho.options import Group

__all__ = ["SlowClients", "WhenSlow"]

WhenSlow = Literal["wait", "disconnect", "drop-oldest", "drop-newest"]


@dataclass(frozen=True, kw_only=True)
class SlowClients(Group):
    """Slow clients."""

    title: ClassVar = "Slow clients"

    when_slow: Annotated[
        WhenSlow,
        Choice(
            "What happens when a client's pending bytes reach the bound. wait: its room waits for it;"
            " disconnect: it is disconnected; drop-oldest, drop-newest: messages are dropped and counted.",
            "POLICY",
            of=WhenSlow,
        ),
    ] = "wait"
    """
    What happens when a client's pending bytes reach their bound: the room waits for it (publishers feel
    TCP backpressure; nothing is lost, and the stall limit ends the wait), the client is disconnected, or
    its oldest or newest pending messages are dropped and counted. Waiting is the default because it is
    the only policy that loses nothing for those who keep up a little late.
    """

    max_pending_bytes: Annotated[
        int, Size("The bound: what may wait for one client; at least a whole message.", high=64 * GIB)
    ] = 4 * MIB
    """
    The bound of one client's outbox, frame headers included. At least ``max_message_size``, because a
    message that fits no outbox could reach nobody. 4 MiB is a few seconds of a busy room.
    """

    stall_limit: Annotated[
        float, Seconds("With wait: how long one client may hold up its room.", low=0.01)
    ] = 5.0
    """
    How long one client may hold its room, under ``wait``: counted from when its outbox was first full, and
    forgotten only when it has caught up, so a reader that trickles cannot hold a room for ever.
    """
