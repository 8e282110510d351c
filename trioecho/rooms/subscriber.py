"""A subscriber: the application as a member of a room, behind its subscription."""

from __future__ import annotations

import logging
from typing import ClassVar

from trioecho.disconnect import Disconnect
from trioecho.log import log_event
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.room import Room
from trioecho.settings import Settings

__all__ = ["Subscriber"]


class Subscriber:
    """
    One subscription's place in its room.

    Attributes:
        outbox: what waits to be taken.
        room: where it is.
        why: for what reason it was disconnected, if it was.

    """

    __slots__ = ("_limits", "outbox", "room", "why")

    kind: ClassVar = "application"
    room: Room

    def __init__(self, limits: Settings) -> None:
        self.outbox = Outbox(self, limits)
        self.why: Disconnect | None = None
        self._limits = limits

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect it; with a polite reason the application still gets what is queued."""
        if self.why is None:
            self.why = why
            self.outbox.close(drain=why.polite)

    def on_space(self) -> None:
        """Tell the room that there is space again."""
        self.room.on_space()

    def on_first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        log_event(
            logging.WARNING,
            "dropping",
            room=self.room.name,
            kind=self.kind,
            when_slow=self._limits.when_slow,
            pending=self.outbox.pending_bytes,
        )

    def start_writer(self) -> None:
        """Do nothing: the application takes the messages itself."""
