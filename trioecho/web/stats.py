"""A room's stats, for the page and for other programs."""

from __future__ import annotations

from collections import Counter
from typing import Any
from weakref import WeakKeyDictionary, ref

from trioecho.http.response import NO_STORE, VARY, Response, json_response
from trioecho.rooms.elsewhere import NOBODY, Elsewhere
from trioecho.rooms.occupant import Occupant
from trioecho.rooms.presence import present
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room
from trioecho.web.kept import Kept, Slices

__all__ = ["RoomStats"]


class RoomStats:
    """The stats of one server's rooms. What they cost does not grow with how often they are asked for."""

    def __init__(self, hub: Registry) -> None:
        self._hub = hub
        # By the room itself, so that a room that ends takes its entry along.
        self._kept: WeakKeyDictionary[Room, Kept[Response]] = WeakKeyDictionary()

    async def of(self, name: str) -> Response:
        """
        Return what there is to say of a room, as JSON: now, or of a large one a moment ago.

        Messages and bytes are what has passed through the room since somebody is in it, each once, and bytes
        with their frame headers; dropped is counted for each subscriber who missed a message. Of a room in
        which nobody is, all is zero, but for its place if that is remembered. Compression is ``None`` where
        nobody has been who can inflate.
        """
        room = self._hub.room(name)
        if room is None:
            return await self._count(name, None, Slices())
        kept = self._kept.get(room)
        if kept is None:
            found = ref(room)  # what is kept must not keep the room
            kept = self._kept[room] = Kept(lambda slices: self._count(name, found(), slices))
        return await kept.get()

    async def _count(self, name: str, room: Room | None, slices: Slices) -> Response:
        kinds: Counter[str] = Counter()
        pending, dropped, able, in_step = 0, 0, 0, 0
        compression = None if room is None else room.compression
        history = self._hub.histories.get(name) if room is None else room.history

        def add(member: Occupant) -> None:
            nonlocal pending, dropped, able, in_step
            # One that leaves meanwhile has been released, and its room has its count.
            if room is not None and (member in room.members or member in room.coming):
                kinds[member.kind] += 1
                pending += member.outbox.pending_bytes
                dropped += member.outbox.dropped
                if member.outbox.context is not None and compression is not None:
                    able += 1
                    in_step += compression.knows(member.outbox)

        if room is not None:
            await slices.each((*room.members, *room.coming), add)
            dropped += room.dropped
        stats: dict[str, Any] = {
            "room": name,
            "to": self._hub.settings.to,
            "when_slow": self._hub.settings.when_slow,
            "subscribers": kinds.total(),
            "websocket": kinds["websocket"],
            "events": kinds["events"],
            "application": kinds["application"],
            "messages": 0 if room is None else room.messages,
            "bytes": 0 if room is None else room.bytes,
            "place": None if history is None else str(history.place),
            "pending_bytes": pending,
            "dropped": dropped,
            "compression": None
            if compression is None
            else {
                "in_step": in_step,
                "out_of_step": able - in_step,
                "unable": kinds.total() - able,
                "bytes_before": compression.figures.compression_bytes_in,
                "bytes_after": compression.figures.compression_bytes_out,
                "contexts_begun": compression.figures.contexts_begun,
                "messages_out_of_step": compression.figures.messages_out_of_step,
                "messages_unable": compression.figures.messages_unable,
            },
        }
        if self._hub.settings.presence:
            stats["members"] = present(room, await self._elsewhere(name, slices))
        return json_response(200, stats, NO_STORE, VARY)

    async def _elsewhere(self, name: str, slices: Slices) -> Elsewhere:
        """Return who is in a room on other servers."""
        logs = self._hub.logs
        if logs is None or logs.presences is None:
            return NOBODY
        with slices.waiting():
            return await logs.presences.ask(name)
