"""A room's stats, for the page and for other machines."""

from __future__ import annotations

from collections import Counter
from typing import Any

from trioecho.rooms.registry import Registry

__all__ = ["stats"]


def stats(hub: Registry, name: str) -> dict[str, Any]:
    """
    Return what there is to say of a room, now.

    Messages and bytes are what has passed through the room since somebody is in it, each once, and bytes
    with their frame headers; dropped is counted for each subscriber who missed a message. Of a room in which
    nobody is, all is zero.
    """
    room = hub.room(name)
    members = tuple(room.members) if room is not None else ()
    kinds = Counter(member.kind for member in members)
    return {
        "room": name,
        "to": hub.limits.to,
        "when_slow": hub.limits.when_slow,
        "subscribers": len(members),
        "websocket": kinds["websocket"],
        "events": kinds["events"],
        "application": kinds["application"],
        "messages": room.messages if room is not None else 0,
        "bytes": room.bytes if room is not None else 0,
        "pending_bytes": sum([member.outbox.pending_bytes for member in members]),
        "dropped": (room.dropped if room is not None else 0) + sum([m.outbox.dropped for m in members]),
    }
