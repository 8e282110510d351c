"""
The audience: who gets what of the messages that a room has taken.

Plain functions that never wait; the room's broadcaster asks them before every fan-out.
"""

from __future__ import annotations

from trioecho.rooms.batch import Batch
from trioecho.settings import Audience

__all__ = ["recipients_of"]


def recipients_of(batches: list[Batch], to: Audience) -> tuple[Batch | None, dict[object, Batch | None]]:
    """
    Decide who gets what of ``batches``: what everybody gets, and what single senders get instead.

    The application (sender ``None``) is nobody in the room: what it publishes, everybody gets.
    """
    if len(batches) == 1:
        batch = batches[0]
        everything: Batch | None = batch if batch.count else None
        if to == "everyone" or batch.sender is None:
            return everything, {}
        return (everything, {batch.sender: None}) if to == "others" else (None, {batch.sender: everything})
    if to == "everyone":
        return _joined(batches), {}
    return _to_others(batches) if to == "others" else _to_senders(batches)


def _joined(batches: list[Batch]) -> Batch | None:
    count = sum([batch.count for batch in batches])
    return Batch(None, b"".join([batch.frames for batch in batches]), count) if count else None


def _to_others(batches: list[Batch]) -> tuple[Batch | None, dict[object, Batch | None]]:
    """
    Join all for everybody, and cut each sender's own out again.

    Cutting takes as many steps as a sender has batches; joining the others' for each sender would take as
    many as there are batches, and a room where everybody talks has as many senders.
    """
    everything = _joined(batches)
    if everything is None:
        return None, {}
    own: dict[object, list[tuple[int, Batch]]] = {}
    at = 0
    for batch in batches:
        if batch.sender is not None:
            own.setdefault(batch.sender, []).append((at, batch))
        at += len(batch.frames)
    whole = memoryview(everything.frames)
    apart: dict[object, Batch | None] = {}
    for sender, cuts in own.items():
        pieces, end, count = [], 0, everything.count
        for start, batch in cuts:
            pieces.append(whole[end:start])
            end = start + len(batch.frames)
            count -= batch.count
        pieces.append(whole[end:])
        apart[sender] = Batch(None, b"".join(pieces), count) if count else None
    return everything, apart


def _to_senders(batches: list[Batch]) -> tuple[Batch | None, dict[object, Batch | None]]:
    """Give each sender its own, and everybody what the application published, in the order of arrival."""
    common: list[Batch] = []
    own: dict[object, list[Batch]] = {}
    for batch in batches:
        if batch.sender is None:
            common.append(batch)
            for theirs in own.values():
                theirs.append(batch)
        else:
            own.setdefault(batch.sender, list(common)).append(batch)
    return _joined(common), {sender: _joined(theirs) for sender, theirs in own.items()}
