"""Clocks that are wrong: those of the servers decide nothing, and the engine's may jump."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path

import pytest
import trio
from helpers.clocks import Clock
from helpers.engine_server import engine_server
from helpers.heads import Heads
from helpers.http_client import fetch
from helpers.nodes import nodes_on
from helpers.server_process import running
from trio_websocket import open_websocket_url

PATIENCE = 90.0


async def test_servers_whose_clocks_are_two_hours_apart(tmp_path: Path) -> None:
    fast, slow = Clock(tmp_path, "fast", "+1h"), Clock(tmp_path, "slow", "-1h")
    with trio.fail_after(PATIENCE):
        async with engine_server(tmp_path) as engine:
            options = ["--engine", engine.url, "--history-age", "60"]
            async with (
                running(*options, variables=fast.variables, patience=PATIENCE) as one,
                running(*options, variables=slow.variables, patience=PATIENCE) as other,
            ):
                logged = [server.find("listening")[0]["time"] for server in (one, other)]
                started, slower = map(datetime.fromisoformat, logged)
                assert (started - slower).total_seconds() > 7000  # the clocks are wrong indeed
                heads = Heads()
                async with (
                    open_websocket_url(f"{one.url}x") as a,
                    open_websocket_url(f"{other.url}x", subprotocols=["trioecho.v1"]) as b,
                ):
                    heads.connected()
                    await a.send_message("from the fast")
                    while heads.heard != ["from the fast"]:
                        heads.take(await b.get_message())
                    await b.send_message("from the slow")
                    assert await a.get_message() == "from the slow"
                # What was said is remembered on both, and neither takes it for old or of the future.
                for server in (one, other):
                    async with open_websocket_url(f"{server.url}x?last=2") as late:
                        heard = [await late.get_message(), await late.get_message()]
                        assert heard == ["from the fast", "from the slow"]
                # And a client comes back from the one to the other.
                place = f"{heads.epoch}-{heads.offset}"
                async with open_websocket_url(f"{one.url}x?after={place}") as back:
                    assert await back.get_message() == "from the slow"
                # Only what is shown as a time is by the clock of the server that shows it.
                shown = {"Accept": "application/x-ndjson"}
                for server, offset in ((one, 3600), (other, -3600)):
                    answer = await fetch(server.url, "/x?last=2", headers=shown)
                    times = [json.loads(line)["time"] for line in answer.text.splitlines()]
                    for text in times:
                        said = datetime.fromisoformat(text).timestamp()
                        assert abs(said - offset - time.time()) < PATIENCE


@pytest.mark.parametrize("jumps", [["+50m"], ["+3h"], ["-3h"], ["+3h", "+0"]], ids=" ".join)
async def test_an_engine_whose_clock_jumps(tmp_path: Path, jumps: list[str]) -> None:
    clock = Clock(tmp_path, "engine")
    with trio.fail_after(PATIENCE):
        # Debian's redis-server does not start with libfaketime: its allocator asks for the time first.
        async with (
            engine_server(tmp_path, program="valkey-server", variables=clock.variables) as engine,
            nodes_on(engine.url) as nodes,
        ):
            before = int(engine.ask("TIME")[0])
            nodes.publish()
            await trio.sleep(0.5)
            for jump in jumps:
                clock.set(jump)
                await trio.sleep(1)
            if jumps[-1] != "+0":
                assert abs(int(engine.ask("TIME")[0]) - before) > 2900
            outcome = await nodes.settle()
            assert outcome.published > 100
            assert (outcome.lost, outcome.doubled, outcome.reordered) == (0, 0, 0)
            # Beyond an hour it takes a log's count for forgotten: all of them begin a new one.
            assert bool(outcome.told) is ("+3h" in jumps)
