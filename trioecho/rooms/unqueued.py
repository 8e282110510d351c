"""What an outbox is to send before all that is fanned out, and has not in its queue yet."""

from __future__ import annotations

from typing import Protocol

from trioecho.rooms.batch import Batch
from trioecho.rooms.place import Place

__all__ = ["Unqueued"]


class Unqueued(Protocol):
    """The rest of a room's past, on its way to somebody who comes back. It never waits."""

    def __call__(self) -> Batch | None:
        """Return what comes next, if anything."""

    @property
    def place(self) -> Place:
        """Where in the room that somebody is, who has got all that this has returned."""
