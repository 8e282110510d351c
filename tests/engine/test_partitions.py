"""
Two machines and an engine on a third, in networks of their own: what becomes of messages when these break.

The servers' clients reach them all the time, over Unix sockets. What each says is numbered, and looked for at
the other's clients, and its own, when the network is whole again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio
from helpers.engine_server import engine_server
from helpers.machines import Machine, Machines, machines
from helpers.server_process import Running, running

from trioecho import open_client

PATIENCE = 120.0

BROKEN = 7.0
"""For how long the network is broken (seconds): longer than a silent engine is waited for."""


class Side:
    """A server on its machine, and what its clients said and heard."""

    def __init__(self, name: str, machine: Machine, server: Running, url: str) -> None:
        self.name = name
        self.machine = machine
        self.server = server
        self.url = url
        self.said = 0
        self.heard: list[str] = []

    def count(self, name: str) -> int:
        """How many messages of a side its clients have heard."""
        return sum(text.startswith(name) for text in self.heard)


class World:
    """All there is: ``one`` and ``other`` are servers, ``engine`` the machine that the engine is on."""

    def __init__(self, network: Machines, engine: Machine, sides: list[Side], nursery: trio.Nursery) -> None:
        self.network = network
        self.engine = engine
        self.one, self.other = self.sides = sides
        self._nursery = nursery
        self._enough = False

    async def begin(self) -> None:
        """Have a client of each server listen, and another talk."""
        for side in self.sides:
            await self._nursery.start(self._listen, side)
        for side in self.sides:
            self._nursery.start_soon(self._talk, side)
        while not all(side.count(other.name) > 20 for side in self.sides for other in self.sides):  # noqa: ASYNC110
            await trio.sleep(0.05)

    async def _listen(self, side: Side, task_status: trio.TaskStatus[None]) -> None:
        async with open_client(side.url) as client:
            task_status.started()
            while True:
                side.heard.append(str(await client.receive()))

    async def _talk(self, side: Side) -> None:
        async with open_client(side.url) as client:
            while not self._enough:
                side.said += 1
                await client.send(f"{side.name} {side.said}")
                await trio.sleep(0.02)
            await trio.sleep_forever()  # connected until the end

    async def assert_all_came(self, *, one_order: bool) -> None:
        """Say nothing more, and hold that everybody has heard everything once, each sender's in order."""
        self._enough = True
        wanted = sum(side.said for side in self.sides)
        while not all(len(side.heard) >= wanted for side in self.sides):  # noqa: ASYNC110
            await trio.sleep(0.05)
        for side in self.sides:
            for sender in self.sides:
                theirs = [text for text in side.heard if text.startswith(sender.name)]
                assert theirs == [f"{sender.name} {number}" for number in range(1, sender.said + 1)]
        assert (self.one.heard == self.other.heard) is one_order

    def lost(self, side: Side) -> list[str]:
        """Why a server lost its engine, each time."""
        return [entry["why"] for entry in side.server.find("engine-lost")]


@asynccontextmanager
async def world(folder: Path, *options: str) -> AsyncIterator[World]:
    """Two servers and their engine, each on a machine of its own, and talk between their clients."""
    with trio.fail_after(PATIENCE), machines(3) as network:
        one, other, third = network.members
        async with AsyncExitStack() as stack:
            reachable = ["--bind", third.address, "--protected-mode", "no"]
            engine = await stack.enter_async_context(
                engine_server(folder, "engine", *reachable, through=third.through)
            )
            url = f"redis://{third.address}:{engine.port}"
            sides = []
            for name, machine in (("a", one), ("b", other)):
                path = folder / f"{name}.sock"
                server = await stack.enter_async_context(
                    running(
                        *("--engine", url, "--unix", str(path), "--to", "everyone", *options),
                        through=machine.through,
                        patience=PATIENCE,
                    )
                )
                await server.event("engine-up")
                sides.append(Side(name, machine, server, f"ws+unix:{path}:/room"))
            nursery = await stack.enter_async_context(trio.open_nursery())
            made = World(network, third, sides, nursery)
            await made.begin()
            yield made
            nursery.cancel_scope.cancel()


WAIT = ("--engine-patience", "60")


@pytest.mark.parametrize("lost", ["to the engine", "from the engine"])
async def test_one_direction_between_a_server_and_the_engine_is_lost(tmp_path: Path, lost: str) -> None:
    async with world(tmp_path, *WAIT) as it:
        way = (it.one.machine, it.engine) if lost == "to the engine" else (it.engine, it.one.machine)
        it.network.lose(*way)
        await trio.sleep(1)
        heard = it.one.count("b")
        await trio.sleep(BROKEN)
        while it.other.count("b") < heard + 50:  # noqa: ASYNC110
            await trio.sleep(0.05)  # the other side goes on
        assert it.one.count("b") < heard + 25
        it.network.deliver(*way)
        await it.one.server.event("engine-up", count=2)
        assert it.lost(it.one) and not it.lost(it.other)
        await it.assert_all_came(one_order=True)


async def test_the_cable_of_a_server_is_pulled(tmp_path: Path) -> None:
    async with world(tmp_path, *WAIT) as it:
        it.network.set_cable(it.one.machine, plugged=False)
        await trio.sleep(BROKEN)
        it.network.set_cable(it.one.machine, plugged=True)
        await it.one.server.event("engine-up", count=2)
        assert not it.lost(it.other)
        await it.assert_all_came(one_order=True)


async def test_the_cable_of_the_engine_is_pulled(tmp_path: Path) -> None:
    async with world(tmp_path, *WAIT) as it:
        it.network.set_cable(it.engine, plugged=False)
        await trio.sleep(BROKEN)
        it.network.set_cable(it.engine, plugged=True)
        for side in it.sides:
            await side.server.event("engine-up", count=2)
        await it.assert_all_came(one_order=True)


async def test_a_cable_that_is_loose(tmp_path: Path) -> None:
    async with world(tmp_path, *WAIT) as it:
        for _ in range(3):
            it.network.set_cable(it.one.machine, plugged=False)
            await trio.sleep(0.3)
            it.network.set_cable(it.one.machine, plugged=True)
            await trio.sleep(1)
        await it.assert_all_came(one_order=True)


@pytest.mark.parametrize("lost", ["to the engine", "from the engine"])
async def test_a_server_that_is_cut_off_goes_on_alone(tmp_path: Path, lost: str) -> None:
    async with world(tmp_path, "--engine-patience", "1") as it:
        way = (it.one.machine, it.engine) if lost == "to the engine" else (it.engine, it.one.machine)
        it.network.lose(*way)
        await it.one.server.event("engine-down")
        heard = it.one.count("a")
        while it.one.count("a") < heard + 50:  # noqa: ASYNC110
            await trio.sleep(0.05)  # its own clients hear each other
        it.network.deliver(*way)
        await it.one.server.event("engine-up", count=2)
        await it.assert_all_came(one_order=False)
