"""A cluster on one machine: an engine, and servers that share their rooms through it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homes import NotToBeHad, program
from processes import REPOSITORY, free_port, listening, settle

# The library, as the comparison's programs have it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from trioecho.bench.process import cpu_seconds

__all__ = ["Cluster", "cluster", "run_load"]

HERE = Path(__file__).parent

QUIET = 1.0
"""Seconds after all listen: servers connect to their engine, and runtimes go on preparing themselves."""

Command = Callable[[int, str], list[str]]
"""What starts a server on a port, with the engine at a URL; an empty URL means without."""


def trioecho(port: int, engine: str) -> list[str]:
    """Start ours, with room for all rows."""
    shared = ["--engine", engine] if engine else []
    bounds = ["--max-connections", "12000", "--max-rooms", "12000", "--log-level", "error"]
    bounds += ["--ping-interval", "0"]  # a load generator that still connects answers no ping
    return [sys.executable, "-m", "trioecho", "serve", "--port", str(port), *bounds, *shared]


@dataclass
class Cluster:
    """What runs: the servers' ports and processes, and the engine's process (0: there is none)."""

    ports: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    engine: int = 0
    engine_port: int = 0

    @property
    def watched(self) -> dict[str, list[int]]:
        """The processes whose CPU time counts, by what they are."""
        return {"nodes": self.nodes, "engine": [self.engine] if self.engine else []}

    def used(self) -> dict[str, float]:
        """Return what they have used so far (seconds)."""
        return {name: sum(cpu_seconds(pid) for pid in pids) for name, pids in self.watched.items()}

    def urls(self, path: str = "/") -> list[str]:
        """Return the servers' URLs."""
        return [f"ws://127.0.0.1:{port}{path}" for port in self.ports]

    def batches(self) -> int:
        """Return how many batches were appended to logs so far."""
        with socket.create_connection(("127.0.0.1", self.engine_port)) as asking:
            asking.sendall(b"INFO commandstats\r\nQUIT\r\n")
            told = b"".join(iter(lambda: asking.recv(65_536), b"")).decode()
        counts = [line.partition("calls=")[2] for line in told.split() if line.startswith("cmdstat_xadd:")]
        return int(counts[0].partition(",")[0]) if counts else 0


@contextlib.contextmanager
def cluster(
    nodes: int, *, engine: bool = True, command: Command = trioecho, **variables: str
) -> Iterator[Cluster]:
    """
    Run a cluster for as long as the block lasts.

    Raises:
        NotToBeHad: something is not installed, or does not start.

    """
    with contextlib.ExitStack() as stack:
        made, url = Cluster(), ""
        if engine:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            made.engine_port = port = free_port()
            line = f"--bind 127.0.0.1 --port {port} --appendonly no --dir {folder}".split()
            made.engine = stack.enter_context(
                listening([program("redis-server"), *line, "--save", ""], port, os.environ)
            )
            url = f"redis://127.0.0.1:{port}"
        for _ in range(nodes):
            port = free_port()
            made.ports.append(port)
            made.nodes.append(
                stack.enter_context(listening(command(port, url), port, _environment(**variables)))
            )
        time.sleep(QUIET)
        yield made


def run_load(
    running: Cluster, plan: dict[str, Any], *, paths: tuple[str, ...] = ("/",), limit: float = 300.0
) -> list[dict[str, Any]]:
    """
    Have a load generator for each path drive a cluster, all at once, and return their reports.

    Raises:
        NotToBeHad: one fails, or takes longer than ``limit`` (seconds).

    """
    wanted = [
        json.dumps({"plan": plan, "urls": running.urls(path), "watched": running.watched}) for path in paths
    ]
    loads = [
        subprocess.Popen(
            [sys.executable, str(HERE / "spread_load.py"), one],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=settle,
        )
        for one in wanted
    ]

    def end() -> None:
        for load in loads:
            load.kill()

    timer = threading.Timer(limit, end)
    timer.start()
    try:
        for load in loads:
            assert load.stdout is not None
            load.stdout.readline()  # it has connected, or ends with a reason
        reports = []
        for load in loads:
            assert load.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                load.stdin.write("go\n")
                load.stdin.flush()
        for load in loads:
            said, wrong = load.communicate()
            if load.returncode:
                late = f"not done within {limit:g} s" if load.returncode < 0 else "it failed"
                raise NotToBeHad(wrong.strip().splitlines()[-1] if wrong.strip() else late)
            reports.append(json.loads(said))
        return reports
    finally:
        timer.cancel()
        end()
        for load in loads:
            load.wait()


def _environment(**variables: str) -> dict[str, str]:
    """The environment without settings of ours, and with this trioecho."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIOECHO_")}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), **variables}
