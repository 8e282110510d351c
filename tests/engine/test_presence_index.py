"""An engine that takes up an older state holds what a node has removed since: the node removes it again."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import trio
from helpers.engine_server import EngineServer, engine_server
from helpers.presence_nodes import PresenceNode, agree, presence_nodes, until

from trioecho.engine.presence_index import PAGE
from trioecho.engine.presence_scripts import index_key

PATIENCE = 90.0


def index(node: PresenceNode) -> str:
    return index_key("te1", node.engine.node).decode()


async def go_back(engine: EngineServer, *nodes: PresenceNode) -> None:
    """Restart an engine with what it had when it was last told to save that."""
    connects = [node.engine.connects for node in nodes]
    engine.kill()
    await engine.start()
    await until(lambda: all(n.engine.connects > c for n, c in zip(nodes, connects, strict=True)))


async def test_nobody_is_back_whom_an_older_state_holds(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 2) as (one, other):
            with ExitStack() as holds:
                rooms = ["/gone", "/unnamed", "/held", "/changed", "/back", "/über uns"]
                for room in rooms:
                    one.come("watcher", room, watches=True)
                gone = [other.come(None if room == "/unnamed" else "bo", room) for room in rooms]
                stays = other.come("cy", "/changed")
                await until(lambda: all(agree(one, other, room=room) for room in rooms))
                assert engine.ask("ZCARD", index(other)) == len(rooms)
                engine.ask("SAVE")
                holds.enter_context(other.registry.hold("/held"))
                for someone in gone:
                    other.go(someone)
                await until(lambda: engine.ask("ZRANGE", index(other), 0, -1) == [b"/changed"])
                back = other.come("dan", "/back")
                await until(lambda: all(agree(one, other, room=room) for room in rooms))
                await go_back(engine, one, other)
                # The watchers are told of it, and the engine has it no more.
                await until(lambda: fields(engine, other, rooms) == {"/changed", "/back"})
                await until(lambda: all(agree(one, other, room=room) for room in rooms))
                assert set(engine.ask("ZRANGE", index(other), 0, -1)) == {b"/changed", b"/back"}
                # Whoever comes later reads the same, and what changes goes on as before.
                for room in rooms:
                    one.come("late", room, watches=True)
                other.go(stays)
                other.go(back)
                await until(lambda: all(agree(one, other, room=room) for room in rooms))
                await until(lambda: not fields(engine, other, rooms))
                assert not engine.ask("EXISTS", index(other))


async def test_nobody_is_back_whom_a_replica_holds_that_was_behind(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "first") as first, engine_server(tmp_path, "second") as second:
            second.ask("REPLICAOF", "127.0.0.1", first.port)
            await second.until(b"master_link_status:up", "INFO", "replication")
            url = f"redis://127.0.0.1:{first.port},127.0.0.1:{second.port}"
            async with presence_nodes(url, 2) as (one, other):
                ada, bo = one.come("ada", watches=True), other.come("bo")
                await until(lambda: agree(one, other))
                await until(lambda: fields(second, other, ["/"]) == {"/"})
                second.ask("REPLICAOF", "NO", "ONE")
                other.go(bo)
                await until(lambda: agree(one, other) and other.size == 0)
                first.kill()
                await until(lambda: min(one.engine.connects, other.engine.connects) > 1)
                await until(lambda: fields(second, other, ["/"]) == set())
                await until(lambda: agree(one, other))
                assert ada.numbers == (1, 0)


async def test_however_many_rooms_an_older_state_holds(tmp_path: Path) -> None:
    count = 2 * PAGE + 1
    with trio.fail_after(PATIENCE):
        async with (
            engine_server(tmp_path) as engine,
            presence_nodes(engine.url, 1, max_rooms=count) as (node,),
        ):
            members = [node.come("ada", f"/{number}") for number in range(count)]
            await until(lambda: len(engine.ask("KEYS", "te1:{*}:p")) == count)
            engine.ask("SAVE")
            for someone in members:
                node.go(someone)
            await until(lambda: node.size == 0)
            await go_back(engine, node)
            await until(lambda: not engine.ask("EXISTS", index(node)))
            assert engine.ask("KEYS", "te1:{*}:p*") == [] and node.size == 0


async def test_the_index_goes_with_its_node(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 1) as (node,):
            node.come("ada")
            await until(lambda: engine.ask("EXISTS", index(node)))
            assert 0 < engine.ask("TTL", index(node)) <= 600
            engine.ask("EXPIRE", index(node), 300)
            await until(lambda: engine.ask("TTL", index(node)) > 300)  # its node lives
            await node.engine.leave()
            await until(lambda: not engine.ask("EXISTS", index(node)))


def fields(engine: EngineServer, node: PresenceNode, rooms: list[str]) -> set[str]:
    """In which of the rooms the engine has something of a node."""
    name = node.engine.node.decode()
    return {room for room in rooms if engine.ask("HEXISTS", f"te1:{{{room}}}:p", name)}
