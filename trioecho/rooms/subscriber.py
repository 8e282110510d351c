"""A subscriber: the application as a member of a room, behind its subscription."""

from __future__ import annotations

import logging
import math
from typing import ClassVar

from trioecho.disconnect import Disconnect
from trioecho.log import log_event
from trioecho.memory import Memory
from trioecho.rooms.member import Member
from trioecho.rooms.notice import tell_by_itself
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

    __slots__ = ("_settings", "outbox", "room", "why")

    kind: ClassVar = "application"
    joined_at: ClassVar = -math.inf  # an application is no stranger: it has always kept up
    known_as: ClassVar = (None, None)
    messages_in: int = 0
    name: ClassVar = None
    id: ClassVar = ""  # nobody without a name is listed
    room: Room

    def __init__(self, settings: Settings, memory: Memory | None = None, *, is_told: bool = False) -> None:
        self.outbox = Outbox(self, settings, memory)
        if is_told:
            self.outbox.tell = tell_by_itself
        self.why: Disconnect | None = None
        self._settings = settings

    @property
    def member(self) -> Member | None:
        """How the application sees it: not at all."""
        return None

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect it; with a polite reason the application still gets what is queued."""
        if self.why is None:
            self.why = why
            self.outbox.close(drain=why.polite)

    def on_space(self) -> None:
        """Tell the room that there is space again."""
        self.room.on_space(self.outbox)

    def on_first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        log_event(
            logging.WARNING,
            "dropping",
            room=self.room.name,
            kind=self.kind,
            when_slow=self._settings.when_slow,
            pending=self.outbox.pending_bytes,
        )

    def start_writer(self) -> None:
        """Do nothing: the application takes the messages itself."""
