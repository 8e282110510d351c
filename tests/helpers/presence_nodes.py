"""
Nodes that share who is in their rooms through one engine, in the test's own process.

A node is what a server has behind its sockets: a registry of rooms and an engine. Its members are no clients;
who watches takes what it is told as it comes, and believes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from helpers.someone import Someone, truth

from trioecho.engine.engine import Engine
from trioecho.engine.feed import State
from trioecho.rooms.hub import Hub, registry_of
from trioecho.rooms.presence import MOST_NAMES
from trioecho.settings import Settings

__all__ = ["PresenceNode", "agree", "presence_nodes", "until"]


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until something is so."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - whatever the condition is
            await trio.sleep(0.02)


class PresenceNode:
    """One node, and everybody whom a test has put into its rooms."""

    def __init__(self, settings: Settings, nursery: trio.Nursery) -> None:
        self.engine = Engine(settings)
        self.registry = registry_of(Hub(settings, nursery, logs=self.engine))
        self.members: list[Someone] = []
        self.dead = False
        self._scope = trio.CancelScope()
        self._nursery = nursery

    @property
    def size(self) -> int:
        """Of how many rooms it keeps who is there."""
        assert self.engine.presences is not None
        return len(self.engine.presences)

    @property
    def hears(self) -> bool:
        """Whether its rooms are open: what is said from now on in any of them is heard here."""
        return all(log.feed.state is State.LEVEL for log in self.engine.logs.values())

    async def run(self) -> None:
        """Have it talk with the engine until it is killed."""
        with self._scope:
            await self.engine.run()

    def kill(self) -> None:
        """Have it say nothing any more, as a process that is killed."""
        self.dead = True
        self._scope.cancel()

    def come(self, name: str | None = None, room: str = "/", *, watches: bool = False) -> Someone:
        """Let somebody in."""
        someone = Someone(self.registry, name, room=room, watches=watches)
        self.members.append(someone)
        if watches:
            self._nursery.start_soon(self._listen, someone)
        return someone

    def go(self, someone: Someone) -> None:
        """Let somebody go."""
        self.members.remove(someone)
        someone.leave()

    def crowd(self, size: int, room: str = "/") -> list[Someone]:
        """Let so many in who have names."""
        return [self.come(f"n{number}", room) for number in range(size)]

    async def _listen(self, someone: Someone) -> None:
        while True:
            try:
                batch = await someone.outbox.receive()
            except (trio.EndOfChannel, trio.ClosedResourceError):
                return
            if batch is not None:
                someone.hear(batch)


def agree(*nodes: PresenceNode, room: str = "/") -> bool:
    """Whether all who watch a room on nodes that live believe what is true; long lists may be left out."""
    everybody: dict[str, str] = {}
    named = unnamed = 0
    watchers: list[Someone] = []
    for node in nodes:
        if not node.dead and room in node.registry.rooms:
            here, numbers = truth(node.registry, room)
            everybody.update(here)
            named, unnamed = named + numbers[0], unnamed + numbers[1]
            watchers += [each for each in node.members if each.outbox.tell and each.room.name == room]
    return all(
        watcher.numbers == (named, unnamed)
        and (watcher.believes == everybody or (watcher.believes is None and named > MOST_NAMES * 0.9))
        for watcher in watchers
    )


@asynccontextmanager
async def presence_nodes(url: str, count: int, **options: Any) -> AsyncIterator[list[PresenceNode]]:
    """Run so many nodes on an engine, connected."""
    async with trio.open_nursery() as nursery:
        settings = Settings(engine=url, history=0, **options)
        nodes = [PresenceNode(settings, nursery) for _ in range(count)]
        for node in nodes:
            nursery.start_soon(node.run)
        await until(lambda: all(node.engine.is_up for node in nodes))
        yield nodes
        nursery.cancel_scope.cancel()
