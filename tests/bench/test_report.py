"""What a report says of a run: figures of the span that they are named after."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from helpers.bench_relays import Message, Room, relaying
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from trioecho.bench import load as load_module
from trioecho.bench.load import Load, Sample
from trioecho.bench.messages import Messages
from trioecho.bench.plan import Plan
from trioecho.bench.report import Report
from trioecho.bench.target import Target


def burn(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_only_what_is_used_while_connecting_counts_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are made before, and the server may settle after it: neither is connecting."""

    def made_slowly(*arguments: Any, **options: Any) -> Messages:
        burn(1.0)
        return Messages(*arguments, **options)

    async def wait(client: ServerConnection, request: Request) -> None:
        await asyncio.sleep(0.3)

    monkeypatch.setattr(load_module, "Messages", made_slowly)
    plan = Plan(mode="paced", subscribers=1, duration=0.1, warmup=0, pid=os.getpid())
    with relaying(process_request=wait) as url:
        load = Load(plan, Target.parse(url))
        load.tell = lambda phase: burn(0.04) if phase == "settling" else None
        load.run()
    figures = Report(load).figures()
    for side in "load", "server":
        assert figures[side]["busy_connecting"] * load.connecting < 0.4
    assert figures["connections_per_second"] * load.connecting == pytest.approx(2)


def test_a_server_whose_process_ends_in_the_middle_is_still_reported() -> None:
    async def die(room: Room, sender: ServerConnection, message: Message) -> None:
        process.kill()
        process.wait()

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        plan = Plan(subscribers=2, stall=0.5, duration=0.2, warmup=0, pid=process.pid)
        with relaying(die) as url:
            load = Load(plan, Target.parse(url))
            load.run()
    report = Report(load)
    assert report.figures()["server"] is None
    assert f"process {process.pid} ended during the run" in report.problems
    assert not any(line.startswith("server:") for line in report.lines())


def test_where_nothing_was_delivered_no_time_is_told() -> None:
    async def keep(room: Room, sender: ServerConnection, message: Message) -> None:
        """To nobody."""

    plan = Plan(subscribers=2, stall=0.5, duration=0.2, warmup=0, pid=os.getpid())
    with relaying(keep) as url:
        load = Load(plan, Target.parse(url))
        load.run()
    report = Report(load)
    figures = report.figures()
    assert set(figures["latency_ms"].values()) == {None}
    assert figures["load"]["cpu_us_per_delivery"] is figures["server"]["cpu_us_per_delivery"] is None
    lines = report.lines()
    assert "latency from when due, ms: no delivery was measured" in lines
    assert not any(line.startswith(("load generator: ", "server: ")) for line in lines)


def test_who_was_slower_is_not_said_of_a_run_without_deliveries() -> None:
    load = Load(Plan(), Target.parse("ws://127.0.0.1/"))
    moments = {"start": 0, "made": 0, "connected": 0, "begin": 0, "end": 1}
    load.samples = {name: Sample(wall=moment, own_cpu=moment) for name, moment in moments.items()}
    assert Report(load).notes == []
    load.samples["end"].delivered = 1
    assert len(Report(load).notes) == 1
