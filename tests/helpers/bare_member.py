"""Members of rooms that are no clients: what those of all tests have in common."""

from __future__ import annotations

from typing import ClassVar

from trioecho.disconnect import Disconnect
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room

__all__ = ["BareMember", "Resident"]


class BareMember:
    """A member with an outbox and nothing behind it: who tests it takes from it."""

    kind: ClassVar = "test"
    joined_at: ClassVar = 0.0
    known_as: ClassVar = (None, None)
    member: ClassVar = None
    messages_in = 0
    name: str | None = None
    id = ""
    outbox: Outbox

    def start_writer(self) -> None:
        raise AssertionError("it takes by itself")

    def on_first_drop(self) -> None:
        pass

    def on_space(self) -> None:
        pass

    def disconnect(self, why: Disconnect) -> None:
        self.outbox.close()


class Resident(BareMember):
    """One that is in a room of a registry; ``ended`` is why it was disconnected."""

    room: Room

    def __init__(self, registry: Registry) -> None:
        self.ended: Disconnect | None = None
        self._registry = registry

    def on_space(self) -> None:
        self.room.on_space(self.outbox)

    def disconnect(self, why: Disconnect) -> None:
        self.ended = why
        super().disconnect(why)

    def leave(self) -> None:
        self._registry.leave(self.room, self)
        self.outbox.close()
