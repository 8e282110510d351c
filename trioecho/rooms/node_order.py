"""
Order by node: what a room says to its own clients before its log has said where it stands.

Everybody in a shared room gets what its log brings, in the log's order. With ``order="node"`` some get what
is published on their own server earlier: those for whom it does not matter which place in the room a message
has. So each batch that is published here goes through the room twice. It goes out *early*, at once, as a copy
that has no place and is not remembered. And it goes out *late*, when the log brings it back, to those who
depend on places. What comes from elsewhere reaches both kinds, each in the order in which it came.

What is compressed is shared by those who write in one encoding, and gets small if all of them get the same
sequence of messages. The two kinds don't. So who depends on places and yet writes frames as they are, because
it began in the past, is sent nothing compressed: it would have to begin anew each time for either kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from trioecho.rooms.batch import Batch, Encoding, Reach
from trioecho.rooms.direct_outbox import DirectOutbox
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.outbox import Outbox

__all__ = ["NodeOrder", "early", "of_reach"]


class NodeOrder:
    """
    Who in one room gets what at which time.

    Attributes:
        placed: the members that depend on places. All others get what is published here early.

    """

    def __init__(self) -> None:
        self.placed: dict[Occupant, Outbox] = {}

    def add(self, member: Occupant, *, from_past: bool) -> None:
        """
        Take notice of a member that comes in, perhaps from a place in the room's past.

        From there to the present there must be no gap. It would have one, if what was said early before it
        came, and late afterwards, went past it both times.
        """
        outbox = member.outbox
        if from_past or outbox.encoding is not None or not isinstance(outbox, DirectOutbox):
            self.placed[member] = outbox
            if outbox.encoding is None:
                outbox.context = None

    def remove(self, member: Occupant) -> None:
        """Take notice that a member is gone; harmless if it is not there."""
        self.placed.pop(member, None)

    def others(self, members: dict[Occupant, Outbox]) -> dict[Occupant, Outbox]:
        """Return those of ``members`` that do not depend on places."""
        if not self.placed:
            return members
        return {member: outbox for member, outbox in members.items() if member not in self.placed}

    def encodings(self) -> set[Encoding | None]:
        """Return the encodings of those that do."""
        return {outbox.encoding for outbox in self.placed.values()}


def early(batch: Batch) -> Batch:
    """Return what goes out early of a batch that has been published here; what it was goes out late."""
    copy = Batch(batch.source, batch.frames, batch.count)
    copy.reach, batch.reach = Reach.EARLY, Reach.LATE
    return copy


def of_reach(batches: Sequence[Batch], reach: Reach) -> list[Batch]:
    """Return those of ``batches`` that reach whom this one does."""
    other = Reach.LATE if reach is Reach.EARLY else Reach.EARLY
    return [batch for batch in batches if getattr(batch, "reach", reach) is not other]
