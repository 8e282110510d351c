"""
Several nodes that share one engine, in the test's own process: what each of them heard, room by room.

A node is what a server has behind its sockets: a hub and an engine. What it publishes is numbered, so that
what is lost, doubled or out of order can be counted afterwards.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import trio

from trioecho import Hub, Settings
from trioecho.engine.engine import Engine
from trioecho.engine.feed import State
from trioecho.rooms.hub import registry_of

__all__ = ["Node", "Nodes", "Outcome", "nodes_on"]

ROOMS = 10
QUIET = 0.6
"""When nobody has heard anything for so long (seconds), nothing comes twice any more."""

LOST = 10.0
"""What has not come when nobody has heard anything for so long (seconds) is lost: a machine may be busy."""


class Node:
    """A hub and its engine; ``heard`` is what came, by room, and ``missed`` what it was told is missing."""

    def __init__(self, name: str, hub: Hub, engine: Engine) -> None:
        self.name = name
        self.hub = hub
        self.engine = engine
        self.heard: dict[str, list[str]] = defaultdict(list)
        self.missed: list[int | None] = []
        self.sent: Counter[str] = Counter()
        self.last = trio.current_time()

    @property
    def is_level(self) -> bool:
        """Whether the engine has everything from here, and this node everything from the engine."""
        feeds = [log.feed for log in self.engine.logs.values()]
        shared = self.engine.is_up and not len(self.engine.outgoing)
        return shared and all(feed.state is State.LEVEL for feed in feeds)

    async def publish(self, room: str) -> None:
        """Publish the node's next message in a room."""
        number = self.sent[room]
        self.sent[room] += 1
        await self.hub.publish(room, f"{self.name} {number}")

    async def listen(self, room: str, task_status: trio.TaskStatus[None]) -> None:
        """Hear a room, until cancelled; what is missing is told as it is to a client that understands it."""
        place = str(await _place(self.hub, room))
        async with self.hub.subscribe(room, after=place) as subscription:
            task_status.started()
            seen: int | None = 0
            async for message in subscription:
                assert isinstance(message, str)
                self.heard[room].append(message)
                self.last = trio.current_time()
                if subscription.missed != seen:
                    self.missed.append(subscription.missed)
                    seen = subscription.missed


async def _place(hub: Hub, room: str) -> Any:
    with registry_of(hub).hold(room) as held:
        await held.wait_open()
        return held.history.place


@dataclass
class Outcome:
    """What became of all that was published: at each node alike unless it is said."""

    published: int = 0
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    one_order: bool = True
    told: dict[str, int] = field(default_factory=dict)


class Nodes:
    """All nodes of a test."""

    def __init__(self, nodes: Sequence[Node], nursery: trio.Nursery) -> None:
        self.nodes = nodes
        self._nursery = nursery
        self._publishers = 0
        self._stopping = False

    def __getitem__(self, number: int) -> Node:
        return self.nodes[number]

    def publish(self, *, rate: float = 300.0, publishers: Sequence[Node] | None = None) -> None:
        """Have nodes publish, so many messages a second each, in rooms at random."""
        for node in self.nodes[:2] if publishers is None else publishers:
            self._publishers += 1
            self._nursery.start_soon(self._publish, node, rate)

    async def _publish(self, node: Node, rate: float) -> None:
        chance = random.Random(node.name)
        began, number = trio.current_time(), 0
        while not self._stopping:
            number += 1
            await trio.sleep_until(began + number / rate)
            await node.publish(f"/{chance.randrange(ROOMS)}")
        self._publishers -= 1

    async def settle(self) -> Outcome:
        """Publish no more, wait until everything has come that will, and say what became of it."""
        self._stopping = True
        while self._publishers or not all(node.is_level for node in self.nodes):  # noqa: ASYNC110
            await trio.sleep(0.02)
        for node in self.nodes:
            node.last = trio.current_time()
        while (quiet := trio.current_time() - max(node.last for node in self.nodes)) < LOST:
            if quiet > QUIET and not self._outcome().lost:
                break
            await trio.sleep(0.05)
        return self._outcome()

    def _outcome(self) -> Outcome:
        outcome = Outcome()
        outcome.told = {node.name: len(node.missed) for node in self.nodes if node.missed}
        for room in {room for node in self.nodes for room in node.sent}:
            orders = {tuple(node.heard[room]) for node in self.nodes}
            outcome.one_order &= len(orders) == 1
            for sender in self.nodes:
                outcome.published += sender.sent[room]
                for node in self.nodes:
                    numbers = [
                        int(number)
                        for name, number in (message.split() for message in node.heard[room])
                        if name == sender.name
                    ]
                    outcome.lost += sender.sent[room] - len(set(numbers))
                    outcome.doubled += len(numbers) - len(set(numbers))
                    outcome.reordered += sum(b < a for a, b in pairwise(numbers))
        return outcome


@asynccontextmanager
async def nodes_on(url: str, count: int = 3, **options: Any) -> AsyncIterator[Nodes]:
    """Run nodes on an engine, each listening in every room."""
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        nodes = []
        for number in range(count):
            settings = Settings(engine=url, **{"engine_patience": 60.0, "history": 0, **options})
            engine = Engine(settings)
            nursery.start_soon(engine.run)
            node = Node(f"node{number}", Hub(settings, nursery, logs=engine), engine)
            for room in range(ROOMS):
                await nursery.start(node.listen, f"/{room}")
            nodes.append(node)
        yield Nodes(nodes, nursery)
        nursery.cancel_scope.cancel()
