"""
A message that comes alone: nothing could be gained by letting it wait for others.

A room's broadcaster joins what arrives, so that many messages cost one write. What that takes is a way
through the scheduler, from the reader that brings a message to the broadcaster: a sixth of what a lone
message between two costs in all. So where there is nobody to join it for, the reader fans it out itself, at
once and without a checkpoint. The broadcaster stays the task that does so in all other cases, and the only
one that ever waits for slow members or fans out more than one message. If such a fan-out fails, it is the
broadcaster that fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trioecho.rooms.batch import Batch, Excluding, Origin
from trioecho.rooms.outbox import Outbox, State

__all__ = ["comes_alone"]

TWO = 2
"""
In a room of so many, all that somebody gets is from the other, whose reader joins what comes together. With
more there are messages of several to join.
"""

LARGEST = 2**16
"""A message of more bytes is much work, for which the broadcaster makes others wait less (64 KiB)."""


def comes_alone(batch: Batch, members: Mapping[Any, Outbox]) -> bool:
    """
    Whether a batch is one message of one of two members, and both keep up and get it as it is.

    Nobody can then be full, so nobody has to be waited for.
    """
    if batch.count != 1 or len(members) > TWO or batch.size > LARGEST:
        return False
    if isinstance(batch.source, (Origin, Excluding)):
        return False
    return all([outbox.state is State.DIRECT and outbox.context is None for outbox in members.values()])
