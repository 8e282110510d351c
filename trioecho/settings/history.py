"""Options of what rooms remember."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from trioecho.limits import GIB, MIB
from trioecho.option_kinds import Seconds, Size, Whole
from trioecho.options import Group

__all__ = ["History"]

MOST_MESSAGES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class History(Group):
    """What rooms remember."""

    title: ClassVar[str] = "What rooms remember"

    history: Annotated[
        int,
        Whole(
            "Messages that a room remembers, for clients that come back or ask for the last ones; 0: none.",
            low=0,
            high=MOST_MESSAGES,
        ),
    ] = 100
    """
    How many messages a room remembers at least, while they are within the bounds below; somewhat more,
    because what was fanned out together is forgotten together. With 0 a client that comes back is still told
    how many it missed.
    """

    history_bytes: Annotated[
        int, Size("And bytes of them, for each room; the newest are kept in any case.", high=64 * GIB)
    ] = MIB // 4
    """
    How many bytes of messages a room remembers, with what it costs to hold them. The messages that were last
    fanned out together are kept even if they are more: at most 512 KiB, or one message.
    """

    history_age: Annotated[
        float,
        Seconds("How long a message is remembered, and a room in which nobody is.", low=0.01),
    ] = 60.0
    """
    How long a message is remembered, and how long a room that everybody has left: long enough for a phone in
    a tunnel, or a restarted proxy.
    """

    history_total: Annotated[
        int,
        Size("Bytes that all rooms together remember; beyond it they forget in turn.", low=0, high=64 * GIB),
    ] = 64 * MIB
    """The bound over all rooms: beyond it each room in turn forgets its oldest messages, told as missed."""
