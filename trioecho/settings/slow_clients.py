"""Options for clients that read more slowly than their room talks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from trioecho.limits import GIB, MIB
from trioecho.option_kinds import Choice, Seconds, Share, Size, Text
from trioecho.options import Group

__all__ = ["SlowClients", "WhenSlow"]

WhenSlow = Literal["wait", "disconnect", "drop-oldest", "drop-newest"]


@dataclass(frozen=True, kw_only=True)
class SlowClients(Group):
    """Slow clients."""

    title: ClassVar[str] = "Slow clients"

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

    tell_missed: Annotated[
        str | None,
        Text(
            "Tell a WebSocket client this in the place of messages that it missed; %d stands for how many.",
            optional=True,
        ),
    ] = None
    """
    A text message that a client gets in the place of those that a dropping policy took from it, or that were
    forgotten when it came back; ``%d`` stands for their number, or ``null`` if nobody knows it. A text
    without it says only that some are missing. ``None``: it is told nothing, unless it speaks
    ``trioecho.v1``.
    """

    stall_limit: Annotated[
        float, Seconds("With wait: how long one client may hold up its room.", low=0.01)
    ] = 5.0
    """
    How long one client may hold its room, under ``wait``: counted from when its outbox was first full, and
    forgotten only when it has caught up, so a reader that trickles cannot hold a room for ever.
    """

    stall_share: Annotated[
        float, Share("With wait: the share of its time that a room may wait while most others are ready.")
    ] = 0.1
    """
    How much of its time a room may wait, under ``wait``, while most of the others in it have taken all they
    have got. A room that has not waited lately has a whole stall limit to spend; when it is spent, the
    slowest is disconnected at once. While others count, a client that has never kept up is not waited for
    either, and neither is one that was disconnected for slowness in the last minute. A tenth leaves room
    for hiccups and not for somebody who makes the room wait again and again. With 1, only the stall limit
    counts.
    """
