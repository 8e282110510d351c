"""A visitor: one client of an ASGI server, as its room sees it."""

from __future__ import annotations

from trioecho.access.identity import Identity
from trioecho.rooms.member import Member, attach
from trioecho.rooms.registry import Registry
from trioecho.rooms.subscriber import Subscriber

__all__ = ["Visitor"]


class Visitor(Subscriber):
    """A subscription that is somebody, and may publish: its own messages do not come back to it."""

    __slots__ = ("_member", "messages_in")

    def __init__(self, registry: Registry, room: str, identity: Identity, address: str) -> None:
        super().__init__(registry.settings, registry.memory)
        self.messages_in = 0
        self._member = Member(identity, room, address)
        self.room = registry.enter(room, self)
        attach(self._member, self, self.room, registry)

    @property
    def member(self) -> Member:
        """How the application sees it."""
        return self._member
