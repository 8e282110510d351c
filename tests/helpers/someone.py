"""Members of rooms that are no clients: they take what they are told when a test says so, and believe it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from helpers.bare_member import Resident

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch
from trioecho.rooms.headed import as_headed, tell_by_head
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.registry import Registry

__all__ = ["Someone", "crowd", "truth"]

ids = count(1)


class Someone(Resident):
    """A member with a name or without, that takes what is told when it is told to."""

    def __init__(
        self, registry: Registry, name: str | None = None, *, room: str = "/", watches: bool = False
    ) -> None:
        super().__init__(registry)
        self.name, self.id = name, f"id{next(ids)}"
        self.outbox = Outbox(self, registry.settings)
        if watches:
            self.outbox.encoding = as_headed
            self.outbox.tell = tell_by_head
        self.told: list[dict[str, Any]] = []
        self.heard = 0
        self.believes: dict[str, str] | None = {}
        self.numbers: tuple[int, int] | None = None
        self.room = registry.enter(room, self, watches=watches)

    async def take(self, batches: int = 1000) -> int:
        """Take so many batches at most, without waiting for any, and believe them; return their bytes."""
        size = 0
        for _ in range(batches):
            if not self.outbox.owes:
                break
            batch = await self.outbox.receive()
            assert isinstance(batch, Batch)
            size += len(batch.encoded(as_headed))
            self.hear(batch)
        return size

    def hear(self, batch: Batch) -> None:
        for message in frames.messages(batch.encoded(as_headed)):
            if isinstance(message, str) and message.startswith('{"count":0,"presence":'):
                self.believe(json.loads(message)["presence"])
            elif message[:1] != "{":
                self.heard += 1

    def believe(self, presence: dict[str, Any]) -> None:
        """Do what the manual says that a client should do."""
        self.told.append(presence)
        self.numbers = presence["named"], presence["unnamed"]
        if "here" in presence:
            here = presence["here"]
            self.believes = None if here is None else {each["id"]: each["name"] for each in here}
        if self.believes is not None:
            for each in presence.get("came", ()):
                assert each["id"] not in self.believes
                self.believes[each["id"]] = each["name"]
            for gone in presence.get("left", ()):
                del self.believes[gone]


def truth(registry: Registry, room: str = "/") -> tuple[dict[str, str], tuple[int, int]]:
    """Who is in a room, and how many with a name and without."""
    found = registry.room(room)
    assert found is not None
    named = {member.id: member.name for member in found.members if member.name is not None}
    return named, (len(named), len(found.members) - len(named))


@contextmanager
def crowd(registry: Registry, size: int, first: int = 0) -> Iterator[list[Someone]]:
    """So many members with a name."""
    members = [Someone(registry, f"n{number}") for number in range(first, first + size)]
    yield members
    for member in members:
        member.leave()
