"""An engine that evicts rooms when its memory is full: what is lost then, who is told, and the warning."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from helpers.engine_server import EngineServer, engine_server
from helpers.nodes import nodes_on

PATIENCE = 60.0


def in_use(engine: EngineServer) -> int:
    """How much memory an engine uses (bytes)."""
    told = dict(line.split(b":", 1) for line in engine.ask("INFO", "memory").splitlines() if b":" in line)
    return int(told[b"used_memory"])


def evicted(engine: EngineServer) -> int:
    """How many keys it has evicted so far."""
    told = dict(line.split(b":", 1) for line in engine.ask("INFO", "stats").splitlines() if b":" in line)
    return int(told[b"evicted_keys"])


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_rooms_that_are_evicted_now_and_then(tmp_path: Path, policy: str) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "engine", "--maxmemory-policy", policy) as engine:
            async with nodes_on(engine.url) as nodes:
                nodes.publish()
                for number in range(1, 5):
                    await trio.sleep(0.5)
                    engine.ask("CONFIG", "SET", "maxmemory", in_use(engine) - 100_000)
                    while evicted(engine) < 5 * number:  # noqa: ASYNC110 - it is another process
                        await trio.sleep(0.01)
                    engine.ask("CONFIG", "SET", "maxmemory", 0)
                outcome = await nodes.settle()
                # What was appended may be gone before a node that was cut off has read it. So it is told.
                assert outcome.lost < outcome.published
                assert (outcome.doubled, outcome.reordered) == (0, 0)
                assert set(outcome.told) == {"node0", "node1", "node2"}


async def test_rooms_for_which_there_is_never_enough_memory(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "engine", "--maxmemory-policy", "allkeys-lru") as engine:
            async with nodes_on(engine.url) as nodes:
                nodes.publish()
                await trio.sleep(0.5)
                engine.ask("CONFIG", "SET", "maxmemory", in_use(engine) - 200_000)
                while evicted(engine) < 100:  # noqa: ASYNC110 - it is another process
                    await trio.sleep(0.05)
                engine.ask("CONFIG", "SET", "maxmemory", 0)
                outcome = await nodes.settle()
                assert outcome.lost < outcome.published
                assert (outcome.doubled, outcome.reordered) == (0, 0)
                assert set(outcome.told) == {"node0", "node1", "node2"}


@pytest.mark.parametrize(
    ("maxmemory", "policy", "warned"),
    [("100mb", "allkeys-lru", True), ("0", "allkeys-lru", False), ("100mb", "noeviction", False)],
)
async def test_a_policy_that_evicts_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, maxmemory: str, policy: str, warned: bool
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    options = ["--maxmemory", maxmemory, "--maxmemory-policy", policy]
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path, "engine", *options) as engine, nodes_on(engine.url, 1) as nodes:
            assert nodes[0].engine.is_up
    assert ("engine-evicts policy=allkeys-lru" in caplog.text) is warned


async def test_a_user_who_may_not_ask_for_the_policy_is_served(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine:
            engine.ask("ACL", "SETUSER", "node", "on", ">secret", "~*", "&*", "+@all", "-info")
            url = f"redis://node:secret@127.0.0.1:{engine.port}"
            async with nodes_on(url, 1) as nodes:
                assert nodes[0].engine.is_up
