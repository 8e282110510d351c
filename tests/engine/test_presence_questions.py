"""Strangers may ask who is in a room as often as they like: it is read once for all, and no list waits."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import trio
import trio.testing
from helpers.engine_server import EngineServer, engine_server
from helpers.presence_nodes import PresenceNode, presence_nodes, until

PATIENCE = 90.0


async def ask(node: PresenceNode, rooms: Sequence[str]) -> list[int]:
    """Ask for all rooms at once who is there, and return how many with a name each answer has."""
    presences = node.engine.presences
    assert presences is not None
    found: list[int] = []

    async def ask_one(room: str) -> None:
        found.append((await presences.ask(room)).named)

    async with trio.open_nursery() as nursery:
        for room in rooms:
            nursery.start_soon(ask_one, room)
    return found


def readings(engine: EngineServer) -> int:
    """How often a room was read that somebody is in, or nobody."""
    info: bytes = engine.ask("INFO", "commandstats")
    line = next(line for line in info.splitlines() if line.startswith(b"cmdstat_hgetall"))
    return int(line.partition(b"calls=")[2].partition(b",")[0])


async def test_a_room_is_read_once_for_all_who_ask_meanwhile(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            other.crowd(3, "/far")
            await until(lambda: engine.ask("EXISTS", "te1:{/far}:p"))
            assert await ask(one, ["/far"]) == [3]
            before = readings(engine)
            assert await ask(one, ["/far"] * 500) == [3] * 500
            assert readings(engine) - before <= 10
            # Who asks later is told what is so then.
            other.come("one more", "/far")
            await until(lambda: b" 4 " in engine.ask("HGET", "te1:{/far}:p", other.engine.node.decode()))
            assert await ask(one, ["/far"]) == [4]


async def test_what_nobody_waits_for_any_more_is_not_read(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            other.come("ada")
            await until(lambda: engine.ask("EXISTS", "te1:{/}:p"))
            assert await ask(one, ["/"]) == [1]
            before, connects = readings(engine), one.engine.connects
            engine.signal(signal.SIGSTOP)
            try:
                assert await ask(one, [f"/{number}" for number in range(500)]) == [0] * 500
                watcher = one.come(watches=True)
            finally:
                engine.signal(signal.SIGCONT)
            await until(lambda: watcher.numbers == (1, 1))
            assert await ask(one, ["/", "/other"]) == [1, 0]
            if one.engine.connects == connects:  # a busy machine may have taken it for lost
                assert readings(engine) - before < 50


async def test_who_asks_when_the_connection_is_lost_is_answered_over_the_next(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            other.come("ada")
            await until(lambda: engine.ask("EXISTS", "te1:{/}:p"))
            assert await ask(one, ["/"]) == [1]
            async with trio.open_nursery() as nursery:
                engine.signal(signal.SIGSTOP)
                nursery.start_soon(ask, one, ["/"])
                await trio.testing.wait_all_tasks_blocked()
                engine.signal(signal.SIGCONT)
                engine.cut()
            await until(lambda: one.engine.is_up)
            found: list[int] = []
            while found != [1]:
                found = await ask(one, ["/"])
