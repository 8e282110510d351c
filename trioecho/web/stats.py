"""A room's stats, for the page and for other programs."""

from __future__ import annotations

from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary, ref

from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room
from trioecho.web.kept import Kept

__all__ = ["RoomStats"]


class RoomStats:
    """The stats of one server's rooms. What they cost does not grow with how often they are asked for."""

    def __init__(self, hub: Registry) -> None:
        self._hub = hub
        # By the room itself, so that a room that ends takes its entry along.
        self._kept: WeakKeyDictionary[Room, Kept[dict[str, Any]]] = WeakKeyDictionary()

    def of(self, name: str) -> dict[str, Any]:
        """
        Return what there is to say of a room: now, or of a large one a moment ago.

        Messages and bytes are what has passed through the room since somebody is in it, each once, and bytes
        with their frame headers; dropped is counted for each subscriber who missed a message. Of a room in
        which nobody is, all is zero.
        """
        room = self._hub.room(name)
        if room is None:
            return self._count(name, None)
        kept = self._kept.get(room)
        if kept is None:
            found = ref(room)  # what is kept must not keep the room
            kept = self._kept[room] = Kept(lambda: self._count(name, found()))
        return kept.get()

    def _count(self, name: str, room: Room | None) -> dict[str, Any]:
        kinds: Counter[str] = Counter()
        pending, dropped = 0, 0 if room is None else room.dropped
        for member in () if room is None else room.members:
            kinds[member.kind] += 1
            pending += member.outbox.pending_bytes
            dropped += member.outbox.dropped
        return {
            "room": name,
            "to": self._hub.limits.to,
            "when_slow": self._hub.limits.when_slow,
            "subscribers": kinds.total(),
            "websocket": kinds["websocket"],
            "events": kinds["events"],
            "application": kinds["application"],
            "messages": 0 if room is None else room.messages,
            "bytes": 0 if room is None else room.bytes,
            "pending_bytes": pending,
            "dropped": dropped,
        }
