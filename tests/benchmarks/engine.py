"""
Measure rooms that servers share through an engine: ``python tests/benchmarks/engine.py``.

All runs on this machine, over loopback: a redis-server, one to four servers, the load generator. What is
compared takes turns within a round; a figure is the median of the rounds. CPU figures hold on a busy machine,
latencies only on a quiet one. Every delivery is checked. Socket.IO is installed from npm into a folder
outside the repository, once; where it can't be had, its rows are left out.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import HERE, Cluster, cluster, run_load, trioecho
from homes import DEFAULT, Homes, NotToBeHad, program

Figures = dict[str, float]

SPARE = 90.0
"""For how long connecting and draining may take (seconds)."""


@dataclass(frozen=True)
class Setup:
    """How long, how many rooms, and where peers are."""

    duration: float
    warmup: float
    rooms: int
    homes: Homes


@dataclass(frozen=True)
class Row:
    """One row: its work in words, one round of it, and the most that figures of it may be."""

    work: str
    measure: Callable[[Setup, bool], Figures]
    goals: dict[str, float]


def plan(setup: Setup, **wanted: Any) -> dict[str, Any]:
    """Return a load generator's plan."""
    return {"duration": setup.duration, "warmup": setup.warmup, **wanted}


def sound(report: dict[str, Any]) -> dict[str, Any]:
    """Return a report in which nothing is wrong."""
    if report["problems"]:
        raise NotToBeHad("; ".join(report["problems"]))
    return report


def turns(backwards: bool, *names: str) -> Iterator[str]:
    """Return names, in the other order every other round."""
    return reversed(names) if backwards else iter(names)


def fan(setup: Setup, backwards: bool) -> Figures:
    """One server with and without an engine."""
    cost: dict[str, float] = {}
    engine = 0.0
    for which in turns(backwards, "without", "with"):
        with cluster(1, engine=which == "with") as running:
            (report,) = run_load(running, plan(setup, subscribers=200, window=64))
            cost[which] = sound(report)["used"]["nodes"] / report["deliveries"] * 1e6
            if which == "with":
                engine = report["used"]["engine"] / report["messages"] * 1e6
    return {
        "server's CPU a delivery, without (µs)": cost["without"],
        "with (µs)": cost["with"],
        "with, of without": cost["with"] / cost["without"],
        "engine's CPU a message (µs)": engine,
    }


def lone(setup: Setup, backwards: bool) -> Figures:
    """A message now and then, from one server to another, and within a server."""
    took: dict[str, dict[str, float]] = {}
    for which in turns(backwards, "one", "two"):
        with cluster(2 if which == "two" else 1, engine=which == "two") as running:
            wanted = plan(setup, mode="paced", rate=100, subscribers=1)
            took[which] = sound(run_load(running, wanted)[0])["latency_ms"]
    figures = {
        f"{which} server, {name} (ms)": took[key][name]
        for key, which in (("one", "within a"), ("two", "to another"))
        for name in ("p50", "p99")
    }
    return {
        **figures,
        **{f"added, {name} (ms)": took["two"][name] - took["one"][name] for name in ("p50", "p99")},
    }


def rooms(setup: Setup, backwards: bool) -> Figures:
    """Very many rooms, each with a publisher at one server and a listener at the other."""
    half = setup.rooms // 2
    wanted = plan(setup, mode="paced", rate=2, rooms=half, subscribers=half, stall=20.0, at_once=25)
    with cluster(2) as running:
        reports = [sound(report) for report in run_load(running, wanted, paths=("/a", "/b"))]
    seconds = sum(report["seconds"] for report in reports) / 2
    messages = sum(report["deliveries"] for report in reports)  # each has one receiver
    used = {name: sum(report["used"][name] for report in reports) / 2 for name in ("nodes", "engine")}
    return {
        # Short of two a room, and the load generators busy: it was they who were too slow.
        "messages a second": messages / seconds,
        "load generators, of a core each": sum(report["load"]["busy"] for report in reports) / 2,
        "servers, of a core each": used["nodes"] / seconds / 2,
        "engine, of a core": used["engine"] / seconds,
        "engine's CPU a message (µs)": used["engine"] / messages * 1e6,
        "both servers' CPU a message (µs)": used["nodes"] / messages * 1e6,
        "p50 (ms)": max(report["latency_ms"]["p50"] for report in reports),
        "p99 (ms)": max(report["latency_ms"]["p99"] for report in reports),
    }


def further(setup: Setup, backwards: bool) -> Figures:
    """The same rooms on one, two and four servers, a listener of each room on every one of them."""
    cost: dict[int, float] = {}
    for nodes in (int(name) for name in turns(backwards, "1", "2", "4")):
        with cluster(nodes) as running:
            wanted = plan(setup, rooms=64, window=1, subscribers=64 * nodes)
            before, batches = running.used()["engine"], running.batches()
            sound(run_load(running, wanted)[0])
            cost[nodes] = (running.used()["engine"] - before) / (running.batches() - batches) * 1e6
    costs: Figures = {f"engine's CPU a batch, {nodes} servers (µs)": cost[nodes] for nodes in sorted(cost)}
    return {**costs, "a further server (µs)": (cost[4] - cost[1]) / 3}


def against(rate: int) -> Callable[[Setup, bool], Figures]:
    """Make the row against Socket.IO: 200 listeners on two servers, and one who speaks."""

    def measure(setup: Setup, backwards: bool) -> Figures:
        setup.homes.install_node("socket.io", "@socket.io/redis-streams-adapter", "redis", "ws")
        cost: dict[str, float] = {}
        for which in turns(backwards, "trioecho", "socketio"):
            command = trioecho if which == "trioecho" else _socketio
            with cluster(2, command=command, NODE_PATH=str(setup.homes.modules)) as running:
                cost[which] = _spread(setup, running, "plain" if which == "trioecho" else which, rate)
        return {
            "CPU a delivery, servers and engine, Socket.IO (µs)": cost["socketio"],
            "trioecho (µs)": cost["trioecho"],
            "trioecho, of Socket.IO": cost["trioecho"] / cost["socketio"],
        }

    return measure


def _socketio(port: int, engine: str) -> list[str]:
    return [program("node"), str(HERE / "servers" / "socketio_streams.mjs"), str(port), engine]


def _spread(setup: Setup, running: Cluster, kind: str, rate: int) -> float:
    """Return the CPU of servers and engine a delivery (µs), both kinds driven by one program."""
    words = [kind, "200", "64", str(rate), *running.urls()]
    driver = subprocess.Popen(
        [program("node"), str(HERE / "listeners" / "spread.mjs"), *words],
        env={**os.environ, "NODE_PATH": str(setup.homes.modules)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(word: str) -> dict[str, int]:
        assert driver.stdin is not None and driver.stdout is not None
        driver.stdin.write(f"{word}\n")
        driver.stdin.flush()
        told: dict[str, int] = json.loads(driver.stdout.readline())
        return told

    timer = threading.Timer(setup.warmup + setup.duration + SPARE, driver.kill)
    timer.start()
    try:
        assert driver.stdout is not None
        if driver.stdout.readline() != "ready\n":
            raise NotToBeHad(f"{kind} takes no connections")
        time.sleep(setup.warmup)
        begin, before = ask("now"), running.used()
        time.sleep(setup.duration)
        end, after = ask("now"), running.used()
        told, deadline = ask("stop"), time.monotonic() + 30
        while told["delivered"] < 200 * told["sent"] and time.monotonic() < deadline:
            time.sleep(0.1)
            told = ask("stop")
    except (ValueError, OSError):
        raise NotToBeHad(f"{kind}: not done within {SPARE:g} s more than it was to take") from None
    finally:
        timer.cancel()
        driver.kill()
        driver.wait()
    if told["wrong"] or told["delivered"] != 200 * told["sent"]:
        raise NotToBeHad(
            f"{kind}: of {200 * told['sent']} deliveries {told['delivered']} came, {told['wrong']} wrong"
        )
    used = sum(after.values()) - sum(before.values())
    return used / (end["delivered"] - begin["delivered"]) * 1e6


ROWS = {
    "fan": Row("200 subscribers of one server, 64 in flight", fan, {"with, of without": 1.25}),
    "lone": Row(
        "a lone message, server to server, 100 a second", lone, {"added, p50 (ms)": 0.6, "added, p99 (ms)": 5}
    ),
    "rooms": Row(
        "rooms with one publisher and one listener, two servers, 2 messages a second each",
        rooms,
        {"engine, of a core": 0.5, "both servers' CPU a message (µs)": 30},
    ),
    "further": Row("64 rooms, one in flight in each", further, {"a further server (µs)": 10}),
    "socketio-64": Row(
        "200 listeners on two servers, 64 in flight", against(0), {"trioecho, of Socket.IO": 0.1}
    ),
    "socketio-50": Row(
        "200 listeners on two servers, 50 messages a second", against(50), {"trioecho, of Socket.IO": 0.1}
    ),
}


def main() -> None:
    """Measure and print."""
    wanted = _arguments()
    wanted.home.expanduser().mkdir(parents=True, exist_ok=True)
    setup = Setup(wanted.duration, wanted.warmup, wanted.rooms, Homes(wanted.home.expanduser()))
    print(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, load {_load()}", flush=True)
    for name in wanted.rows:
        row = ROWS[name]
        found: list[Figures] = []
        for number in range(wanted.rounds):
            try:
                found.append(row.measure(setup, bool(number % 2)))
            except NotToBeHad as reason:
                print(f"{name}: left out: {reason}", flush=True)
                break
        if found:
            print(f"\n{name}: {row.work} (load {_load()})")
            for figure in found[0]:
                print(
                    _line(figure, [figures[figure] for figures in found], row.goals.get(figure)), flush=True
                )


def _line(name: str, values: list[float], goal: float | None) -> str:
    middle = statistics.median(values)
    span = f" ({_short(min(values))} to {_short(max(values))})" if len(values) > 1 else ""
    verdict = "" if goal is None else f", at most {goal:g}: {'met' if middle <= goal else 'MISSED'}"
    return f"  {name}: {_short(middle)}{span}{verdict}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row (default 3)")
    parser.add_argument("--duration", type=float, default=5.0, help="seconds a measurement (default 5)")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before it (default 1)")
    parser.add_argument("--rooms", type=int, default=10_000, help="rooms of the row rooms (default 10,000)")
    parser.add_argument("--home", type=Path, default=DEFAULT, help=f"the environments (default {DEFAULT})")
    wanted = parser.parse_args()
    if wanted.rounds < 1 or not 0.1 <= wanted.duration <= 600 or not 0 <= wanted.warmup <= 600:
        parser.error("at least one round, and durations of 0.1 to 600 seconds, can be measured")
    if not 4 <= wanted.rooms <= 10_000 or wanted.rooms % 4:
        parser.error("--rooms is a number from 4 to 10000 that four divides")
    return wanted


if __name__ == "__main__":
    main()
