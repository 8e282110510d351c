"""
The recipients: who gets what of the messages that a room has taken.

Plain functions that never wait; the room's broadcaster asks them before every fan-out.
"""

from __future__ import annotations

from trioecho.rooms.batch import Batch, Buffer, Excluding, Origin, excerpt
from trioecho.rooms.headed import RUN_COST
from trioecho.settings import Audience

__all__ = ["Recipients", "cut_out", "is_for_everybody", "joined", "recipients_of", "shared"]


Recipients = tuple[Batch | None, dict[object, Batch | None]]
"""Who gets what, ``None`` standing for nothing: what everybody gets, and what single senders get instead of
it. Some of these may have left the room. (A plain tuple: one is made for each lone message.)"""


def recipients_of(batches: list[Batch], to: Audience, *, headed: bool = False) -> Recipients:
    """
    Decide who gets what of ``batches``.

    With ``headed``, what is cut out for a sender can tell its runs.

    A member's messages go where ``to`` says. What the application publishes goes to everybody. A message
    from elsewhere has its sender on another node, so with ``to="sender"`` nobody here gets it.
    """
    if len(batches) == 1:
        batch = batches[0]
        everything: Batch | None = batch if batch.count else None
        if to == "everyone" or batch.source is Origin.APPLICATION:
            return everything, {}
        if to == "others":
            return everything, {batch.source: None}
        return None, {batch.source: everything}
    if to == "everyone":
        return joined(batches), {}
    return _to_others(batches, headed=headed) if to == "others" else _to_senders(batches)


def is_for_everybody(batch: Batch, to: Audience) -> bool:
    """Whether what all others get is what ``batch`` holds: it is then a part of what the room has said."""
    return to != "sender" or batch.source is Origin.APPLICATION or isinstance(batch.source, Excluding)


def joined(batches: list[Batch]) -> Batch | None:
    """Put batches together into one, if they hold anything."""
    if len(batches) < 2:
        return batches[0] if batches and batches[0].count else None
    count = sum([batch.count for batch in batches])
    frames = b"".join([batch.frames for batch in batches])
    return Batch(Origin.FANNED_OUT, frames, count) if count else None


def _to_others(batches: list[Batch], *, headed: bool) -> Recipients:
    """
    Join all for everybody, and cut each sender's own out again.

    Cutting takes as many steps as a sender has batches; joining the others' for each sender would take as
    many as there are batches, and a room where everybody talks has as many senders.
    """
    everything = joined(batches)
    if everything is None:
        return None, {}
    own: dict[object, list[tuple[int, int, Batch]]] = {}
    at = number = 0
    for batch in batches:
        if not isinstance(batch.source, Origin):
            own.setdefault(batch.source, []).append((at, number, batch))
        at += batch.size
        number += batch.count
    return everything, cut_out(everything, own, headed=headed)


def cut_out(
    everything: Batch, own: dict[object, list[tuple[int, int, Batch]]], *, headed: bool
) -> dict[object, Batch | None]:
    """
    Return what each of ``own`` gets: ``everything`` without some of the batches that were joined in it.

    ``own`` says which, each with how many bytes and messages come before it. With ``headed``, what is left
    can tell its runs.
    """
    whole, at, number = memoryview(everything.frames), everything.size, everything.count
    senders: dict[object, Batch | None] = {}
    for sender, cuts in own.items():
        pieces: list[Buffer] = []
        runs: list[tuple[int, int, int]] = []
        end, done, count = 0, 0, everything.count
        for start, before, batch in cuts:
            if start > end:
                pieces.append(whole[end:start])
                if headed:
                    runs.append((done, before - done, start - end))
            end, done = start + batch.size, before + batch.count
            count -= batch.count
        if end < at:
            pieces.append(whole[end:])
            if headed:
                runs.append((done, number - done, at - end))
        theirs = excerpt(pieces, count, at, whole=everything) if count else None
        senders[sender] = theirs
        if headed and theirs is not None:
            theirs.runs = runs
            theirs.cost += RUN_COST * len(runs)
    return senders


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
    return joined(common), {sender: shared(theirs) for sender, theirs in own.items()}


def shared(batches: list[Batch]) -> Batch | None:
    """Put a sender's batches together; their bytes are held once, if other senders get them too."""
    count = sum([batch.count for batch in batches])
    if not count:
        return None
    pieces = [batch.frames for batch in batches if batch.size]
    return excerpt(pieces, count, 0)
