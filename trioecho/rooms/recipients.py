"""
The recipients: who gets what of the messages that a room has taken.

Plain functions that never wait; the room's broadcaster asks them before every fan-out.
"""

from __future__ import annotations

from typing import NamedTuple

from trioecho.rooms.batch import Batch, Buffer, Origin, excerpt
from trioecho.settings import Audience

__all__ = ["Recipients", "recipients_of"]


class Recipients(NamedTuple):
    """Who gets what; ``None`` stands for nothing."""

    everybody: Batch | None
    """What all get who are not among the senders below."""

    senders: dict[object, Batch | None]
    """What single senders get instead; some of them may have left the room."""


def recipients_of(batches: list[Batch], to: Audience) -> Recipients:
    """
    Decide who gets what of ``batches``.

    A member's messages go where ``to`` says. What the application publishes goes to everybody. A message
    from elsewhere has its sender on another node, so with ``to="sender"`` nobody here gets it.
    """
    if len(batches) == 1:
        batch = batches[0]
        everything: Batch | None = batch if batch.count else None
        if to == "everyone" or batch.source is Origin.APPLICATION:
            return Recipients(everything, {})
        if to == "others":
            return Recipients(everything, {batch.source: None})
        return Recipients(None, {batch.source: everything})
    if to == "everyone":
        return Recipients(_joined(batches), {})
    return _to_others(batches) if to == "others" else _to_senders(batches)


def _joined(batches: list[Batch]) -> Batch | None:
    if len(batches) < 2:
        return batches[0] if batches and batches[0].count else None
    count = sum([batch.count for batch in batches])
    frames = b"".join([batch.frames for batch in batches])
    return Batch(Origin.FANNED_OUT, frames, count, id=batches[-1].id) if count else None


def _to_others(batches: list[Batch]) -> Recipients:
    """
    Join all for everybody, and cut each sender's own out again.

    Cutting takes as many steps as a sender has batches; joining the others' for each sender would take as
    many as there are batches, and a room where everybody talks has as many senders.
    """
    everything = _joined(batches)
    if everything is None:
        return Recipients(None, {})
    own: dict[object, list[tuple[int, Batch]]] = {}
    at = 0
    for batch in batches:
        if not isinstance(batch.source, Origin):
            own.setdefault(batch.source, []).append((at, batch))
        at += batch.size
    whole = memoryview(everything.frames)
    senders: dict[object, Batch | None] = {}
    for sender, cuts in own.items():
        pieces: list[Buffer] = []
        end, count = 0, everything.count
        for start, batch in cuts:
            if start > end:
                pieces.append(whole[end:start])
            end = start + batch.size
            count -= batch.count
        if end < at:
            pieces.append(whole[end:])
        senders[sender] = excerpt(pieces, count, at, id=everything.id) if count else None
    return Recipients(everything, senders)


def _to_senders(batches: list[Batch]) -> Recipients:
    """Give each sender its own, and everybody what the application published, in the order of arrival."""
    common: list[Batch] = []
    own: dict[object, list[Batch]] = {}
    for batch in batches:
        if batch.source is Origin.APPLICATION:
            common.append(batch)
            for theirs in own.values():
                theirs.append(batch)
        elif not isinstance(batch.source, Origin):
            own.setdefault(batch.source, list(common)).append(batch)
    return Recipients(_joined(common), {sender: _shared(theirs) for sender, theirs in own.items()})


def _shared(batches: list[Batch]) -> Batch | None:
    """Put a sender's batches together; their bytes are held once, if other senders get them too."""
    count = sum([batch.count for batch in batches])
    if not count:
        return None
    pieces = [batch.frames for batch in batches if batch.size]
    return excerpt(pieces, count, 0, id=batches[-1].id)
