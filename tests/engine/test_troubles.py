"""The log is told of each trouble with an engine once, however often it comes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from helpers.engine_server import engine_server
from helpers.presence_nodes import presence_nodes, until
from trio.testing import MockClock

from trioecho.engine.troubles import MOST_LINES, Troubles


async def test_that_it_evicts_is_said_when_that_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    troubles = Troubles()
    for policy in ("allkeys-lru", "allkeys-lru", "volatile-ttl", None, "volatile-ttl"):
        troubles.evicts(policy)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"engine-evicts policy={policy}" for policy in ("allkeys-lru", "volatile-ttl", "volatile-ttl")
    ]


async def test_each_reason_is_told_once_in_an_absence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    troubles = Troubles()
    for _ in range(2):
        for why in ("one", "two", "one"):
            troubles.lost("host", why)
            assert troubles.now == f"host: {why}"
        troubles.over()
        assert troubles.now == ""
    assert len(caplog.records) == 4


async def test_a_reason_that_was_left_out_is_told_in_the_next_minute(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    troubles = Troubles()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(troubles.run)
        for _ in range(2 * MOST_LINES):
            troubles.lost("host", "it closed the connection")
            troubles.over()
        assert len(caplog.records) == MOST_LINES
        for _ in range(60):
            troubles.lost("host", "it wants a password")
            await trio.sleep(2)
        nursery.cancel_scope.cancel()
    told = [record.getMessage() for record in caplog.records[MOST_LINES:]]
    assert told == [
        f"log-lines-left-out kind=engine-lost count={MOST_LINES + 30}",
        'engine-lost host=host why="it wants a password"',
    ]


async def test_an_engine_that_comes_and_goes_fills_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    with trio.fail_after(90):
        async with engine_server(tmp_path) as engine, presence_nodes(engine.url, 1) as (node,):
            for connects in range(2, MOST_LINES + 10):
                engine.cut()
                await until(lambda connects=connects: node.engine.connects >= connects)  # type: ignore[misc]
    told = [record.__dict__ for record in caplog.records]
    for kind in ("engine-lost", "engine-up"):
        assert len([entry for entry in told if entry["event"] == kind]) == MOST_LINES
        (count,) = [
            entry["fields"]["count"]
            for entry in told
            if entry["event"] == "log-lines-left-out" and entry["fields"]["kind"] == kind
        ]
        assert count >= 8  # all that were more
