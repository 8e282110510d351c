"""What was heard, and from whom: the messages of a subscription that asks for their sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.member import Member
from trioecho.rooms.recipients import is_for_everybody
from trioecho.settings import Audience

__all__ = ["From", "Heard", "Posted", "Sources", "heard", "sources_of"]

From = Literal["member", "application", "post", "elsewhere", "past"]


@dataclass(frozen=True, slots=True)
class Heard:
    """
    A message, and where it came from.

    Attributes:
        message: ``str`` for text, ``bytes`` for binary.
        origin: ``"member"``: a client in the room. ``"application"``: the hub itself. ``"post"``: a request
            over HTTP. ``"elsewhere"``: it came by way of another process that shares the room. ``"past"``: it
            was said before this subscription began, and who said it is forgotten.
        member: who sent it, if that was a member or a request; a request's can be sent nothing.

    """

    message: str | bytes
    origin: From
    member: Member | None = None


Sources = Sequence[tuple[int, From, Member | None]]
"""Of a batch that was joined: how many messages each source has in it, in order."""


class Posted(Batch):
    """A message by HTTP; everybody gets it, as what the application publishes."""

    __slots__ = ("member",)

    def __init__(self, frame: bytes, member: Member) -> None:
        super().__init__(Origin.APPLICATION, frame, 1)
        self.member = member


def sources_of(batches: Sequence[Batch], to: Audience) -> Sources:
    """Return where it comes from what everybody gets of ``batches``, before that is forgotten."""
    return [
        (batch.count, *_source_of(batch)) for batch in batches if batch.count and is_for_everybody(batch, to)
    ]


def _source_of(batch: Batch) -> tuple[From, Member | None]:
    if isinstance(batch, Posted):
        return "post", batch.member
    if batch.source is Origin.ELSEWHERE:
        return "elsewhere", None
    member = getattr(batch.source, "member", None)
    return ("application", None) if member is None else ("member", member)


def heard(batch: Batch) -> Iterator[Heard]:
    """Take the messages of a batch apart, each with its source."""
    messages = frames.messages(batch.frames)
    try:
        sources: Sources = batch.sources
    except AttributeError:
        sources = [(batch.count, "past", None)]
    for count, origin, member in sources:
        for _ in range(count):
            yield Heard(next(messages), origin, member)
