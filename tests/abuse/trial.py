"""One abuse, measured: a server, an honest pair and those who abuse it, each a process of its own."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.pinned import CORES, line, process
from helpers.server_process import environment

from abuse.target import Abuse

__all__ = ["Result", "measure"]

READY_LIMIT = 180.0
"""Seconds until the abuse is on."""

RECOVERY = 20.0
"""Seconds after the abuse in which the server must have closed all its connections."""

SETTLED = 3.0
"""Seconds without less memory after which it is what it is."""

STOP_LIMIT = 30.0
"""Seconds in which the server must shut down."""

GOAL_P50, GOAL_P99 = 0.002, 0.025
"""What the honest pair may see (seconds)."""


@dataclass
class Result:
    """
    What an abuse did. Times are seconds, sizes bytes.

    Attributes:
        took: the honest pair's rounds, sorted.
        peak: the server's largest resident memory.
        after: its resident memory once they were gone.
        log: what it has logged.
        descriptors: how many more it had open once they were gone than before.
        problems: what must not be at all, in sentences.

    """

    abuse: Abuse
    took: list[float] = field(default_factory=list)
    peak: int = 0
    after: int = 0
    log: int = 0
    descriptors: int = 0
    problems: list[str] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Return what ``share`` of the rounds took at most."""
        return self.took[min(len(self.took) - 1, math.ceil(share * len(self.took)) - 1)]

    @property
    def met(self) -> bool:
        """Whether the honest pair was served as it is to be, and nothing else was wrong."""
        if self.problems or not self.took:
            return False
        return self.quantile(0.5) < GOAL_P50 and self.quantile(0.99) < GOAL_P99


class Server:
    """The server's process, as the system sees it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log
        self._folder = Path(f"/proc/{process.pid}")

    def port(self) -> int:
        """Wait until it listens; returns where."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(rb"url=ws://127\.0\.0\.1:(\d+)/", self.log.read_bytes()):
                return int(found[1])
            time.sleep(0.05)
        raise RuntimeError(f"the server does not start: {self.log.read_text()}")

    @property
    def descriptors(self) -> int:
        """How many files it has open."""
        return len(list((self._folder / "fd").iterdir()))

    def memory(self, name: str) -> int:
        """Return ``VmRSS``, what is resident, or ``VmHWM``, the most that was."""
        found = re.search(rf"^{name}:\s+(\d+) kB", (self._folder / "status").read_text(), re.M)
        assert found is not None
        return int(found[1]) * 1024


def measure(abuse: Abuse, *, seconds: float, scale: float = 1.0) -> Result:
    """Have a fresh server abused for so long, after the abuse is on; returns what came of it."""
    result = Result(abuse)
    with tempfile.TemporaryDirectory() as folder, _serving(abuse, Path(folder) / "log") as server:
        port = server.port()
        with process("abuse.pair", str(port), f"{seconds:g}") as pair:
            assert pair.stdin is not None
            line(pair, READY_LIMIT)
            before = server.descriptors
            with process("abuse.driver", abuse.name, str(port), f"{scale:g}") as driver:
                if not line(driver, READY_LIMIT):
                    result.problems.append(f"the abuse was not on after {READY_LIMIT:g} s")
                pair.stdin.write("go\n")
                pair.stdin.flush()
                told: dict[str, Any] = json.loads(line(pair, READY_LIMIT) or '{"cut": "no answer"}')
                if driver.poll() is not None:
                    result.problems.append("the abuse has ended by itself")
            result.took = sorted(told.get("took", []))
            if "cut" in told:
                result.problems.append(str(told["cut"]))
            if server.process.poll() is not None:
                result.problems.append("the server has ended")
                return result
            deadline = time.monotonic() + RECOVERY
            while server.descriptors > before and time.monotonic() < deadline:
                time.sleep(0.1)
            result.descriptors = server.descriptors - before
            result.peak, result.after = server.memory("VmHWM"), _settled(server)
        server.process.terminate()
        try:
            if server.process.wait(STOP_LIMIT) != 0:
                result.problems.append(f"the server's exit code was {server.process.returncode}")
        except subprocess.TimeoutExpired:
            result.problems.append("the server did not shut down")
        result.log = server.log.stat().st_size
        if result.descriptors > 0:
            result.problems.append(f"{result.descriptors} descriptors are still open")
        if b"Traceback" in server.log.read_bytes():
            result.problems.append("the server has logged a traceback")
    return result


def _settled(server: Server) -> int:
    """Return its resident memory once that falls no more: what is freed is given back a bit at a time."""
    least, deadline = server.memory("VmRSS"), time.monotonic() + SETTLED
    while time.monotonic() < deadline:
        time.sleep(0.1)
        if (now := server.memory("VmRSS")) < least:
            least, deadline = now, time.monotonic() + SETTLED
    return least


@contextmanager
def _serving(abuse: Abuse, log: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", *abuse.options]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stderr=output, env=environment(), preexec_fn=lambda: os.sched_setaffinity(0, {CORES[0]})
        )
    try:
        yield Server(process, log)
    finally:
        process.kill()
        process.wait()
