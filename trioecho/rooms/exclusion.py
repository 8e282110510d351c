"""Exclusion: what the application publishes to everybody in a room but some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from trioecho.rooms.batch import Batch, Excluding, Origin
from trioecho.rooms.recipients import Recipients, cut_out, joined, shared
from trioecho.settings import Audience

__all__ = ["prepare", "recipients_in", "recipients_without"]


class Room(Protocol):
    """What this needs of a room."""

    excluding: bool

    @property
    def size(self) -> int:
        """How many are in it."""

    @property
    def members(self) -> Mapping[Any, object]:
        """Who is in it."""


def recipients_without(batches: list[Batch], to: Audience, *, headed: bool = False) -> Recipients:
    """
    Decide who gets what, as :func:`recipients_of`, where some batches are kept from some members.

    Only rooms in which the application has excluded somebody ask this. Its work grows with how many are
    excluded, each for each batch that is kept from it.
    """
    return _alone(batches) if to == "sender" else _together(batches, to, headed=headed)


def prepare(room: Room, batch: Batch) -> None:
    """Let ``room`` know before ``batch`` comes, if it is kept from somebody."""
    if isinstance(batch.source, Excluding):
        room.excluding = True


def recipients_in(room: Room, batch: Batch) -> int:
    """Return how many in ``room`` are to get ``batch``, which has just been published there."""
    if not isinstance(batch.source, Excluding):
        return room.size
    return room.size - sum([member in room.members for member in batch.source.members])


def _together(batches: list[Batch], to: Audience, *, headed: bool) -> Recipients:
    """Join all for everybody, and cut out for each what it is not to get."""
    everything = joined(batches)
    if everything is None:
        return None, {}
    kept: dict[object, list[tuple[int, int, Batch]]] = {}
    at = number = 0
    for batch in batches:
        source = batch.source
        if isinstance(source, Excluding):
            for member in source.members:
                kept.setdefault(member, []).append((at, number, batch))
        elif to == "others" and not isinstance(source, Origin):
            kept.setdefault(source, []).append((at, number, batch))
        at += batch.size
        number += batch.count
    return everything, cut_out(everything, kept, headed=headed)


def _alone(batches: list[Batch]) -> Recipients:
    """Give each sender its own, and what the application published to those it is for, in order."""
    common: list[Batch] = []
    own: dict[object, list[Batch]] = {}
    for batch in batches:
        source = batch.source
        if isinstance(source, Excluding) or source is Origin.APPLICATION:
            without = source.members if isinstance(source, Excluding) else frozenset()
            for member in without:
                own.setdefault(member, list(common))
            common.append(batch)
            for member, theirs in own.items():
                if member not in without:
                    theirs.append(batch)
        elif not isinstance(source, Origin):
            own.setdefault(source, list(common)).append(batch)
    return joined(common), {member: shared(theirs) for member, theirs in own.items()}
