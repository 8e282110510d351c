"""An occupant: what a room and an outbox need of whoever is in a room."""

from __future__ import annotations

from typing import ClassVar, Protocol

from trioecho.rooms.elsewhere import Named
from trioecho.rooms.member import Member
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.owner import Owner

__all__ = ["Occupant"]


class Occupant(Owner, Named, Protocol):
    """A subscriber in a room: a client of any kind, or the application. None of its methods waits."""

    kind: ClassVar[str]
    """``websocket``, ``events`` or ``application``."""

    messages_in: int
    """Messages that were taken from it."""

    @property
    def outbox(self) -> Outbox:
        """Where the room's messages go."""

    @property
    def member(self) -> Member | None:
        """How the application sees it, if it is a client."""
