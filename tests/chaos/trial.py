"""A run: the server, the loyal and the chaotic, each a process of its own, and what came of it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from helpers.pinned import CORES, line, on_core, process

from chaos.host import MADE_OF
from chaos.network import Network, network

__all__ = ["Outcome", "run"]

START_LIMIT = 30.0

UNCHANGED = 4
"""So often, half a second apart, the server must seem the same before it counts as settled."""

SLACK = 0.002
"""How much more than twice the undisturbed time the loyal may wait (seconds): the noise of a machine."""

GROWTH = {"tasks": 0, "descriptors": 0, "objects": 0.02, "memory": 0.10}
"""By how much the server may be more at the end than at the beginning."""


@dataclass
class Outcome:
    """
    What came of a run.

    Attributes:
        calm, stormy: what the loyal saw without the chaotic, and with them.
        before, after: what the server was made of.
        things: how many things the chaotic have done.
        vanished: how often those behind the cable were cut off; None if there was no cable.
        log: what the server has logged (bytes).
        problems: what must not be, in sentences.

    """

    calm: dict[str, Any] = field(default_factory=dict)
    stormy: dict[str, Any] = field(default_factory=dict)
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    things: int = 0
    vanished: int | None = None
    log: int = 0
    problems: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Add to the problems what the figures say."""
        self.problems += [*self.calm["faults"], *self.stormy["faults"]]
        if self.stormy["p99"] > 2 * self.calm["p99"] + SLACK:
            self.problems.append(
                f"the loyal's p99 was {self.stormy['p99'] * 1e3:.1f} ms, and undisturbed"
                f" {self.calm['p99'] * 1e3:.1f} ms"
            )
        for what, growth in GROWTH.items():
            before, after = self.before[what], self.after[what]
            if after > before * (1 + growth):
                self.problems.append(f"the server has {after:,} {what}, and had {before:,}")

    def lines(self) -> Iterator[str]:
        """Say it, a line each."""
        for name, seen in (("undisturbed", self.calm), ("in chaos", self.stormy)):
            times = ", ".join(f"{share} {seen[share] * 1e3:.1f} ms" for share in ("p50", "p99", "max"))
            yield f"the loyal, {name}: {seen['messages']:,} messages, {times}"
        cut = "no network namespace" if self.vanished is None else f"the cable pulled {self.vanished} times"
        yield f"the chaotic: {self.things:,} things done, {cut}; the server's log: {self.log:,} bytes"
        for what in GROWTH:
            yield f"{what}: {self.before[what]:,} before, {self.after[what]:,} after"
        yield from (f"PROBLEM: {problem}" for problem in self.problems)


class Storm:
    """The chaotic on this side of the cable and beyond it, for a time."""

    def __init__(self, url: str, clients: int, seed: int, cable: Network | None, ping: float) -> None:
        self._url = url
        # Longer than the server waits for an answer to its ping.
        self._cut = 2 * ping + 1
        self._clients = clients
        self._seed = seed
        self._cable = cable
        self.things = self.vanished = 0

    def rage(self, seconds: float) -> None:
        """Let them for so long; those beyond the cable vanish again and again."""
        end = time.monotonic() + seconds
        self._seed += 1
        with process("chaos.crowd", self._url, str(self._clients), str(self._seed)) as crowd:
            while (left := end - time.monotonic()) > 0:
                if self._cable is None or left < 2 * self._cut:
                    time.sleep(left)
                else:
                    self._vanish(self._cable)
            crowd.kill()
            assert crowd.stdout is not None
            self.things += int(["0", *crowd.stdout.read().split()][-1])

    def _vanish(self, cable: Network) -> None:
        """Have some come from beyond the cable, and pull it; nothing of their end gets through."""
        url = self._url.replace("127.0.0.1", cable.near)
        count, seed = str(self._clients // 5), str(self._seed + 1000)
        with process("chaos.crowd", url, count, seed, through=cable.through):
            time.sleep(self._cut)
            cable.set_link(up=False)
        time.sleep(self._cut)
        cable.set_link(up=True)
        self.vanished += 1


def run(*, seconds: float, calm: float, clients: int, seed: int, ping: float) -> Outcome:
    """
    Have the chaotic for so long, after a calm time; returns what came of it.

    ``ping`` is the seconds from one keepalive ping of the server's to the next, and for its answer.
    """
    outcome = Outcome()
    with contextlib.ExitStack() as stack:
        cable = stack.enter_context(network())
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
        hosts = ["127.0.0.1", *([cable.near] if cable else [])]
        command = [sys.executable, "-m", "chaos.host", f"{ping:g}", *hosts]
        server = stack.enter_context(on_core(command, CORES[0], stack.enter_context(log.open("wb"))))
        url = line(server, START_LIMIT).strip()
        storm = Storm(url, clients, seed, cable, ping)
        storm.rage(min(calm, seconds))  # so that what grows once has grown
        loyal = stack.enter_context(process("chaos.loyal", url))
        line(loyal, START_LIMIT)
        outcome.before = settled(url, ping)
        ask(loyal)
        time.sleep(calm)
        outcome.calm = ask(loyal)
        storm.rage(seconds)
        outcome.stormy = ask(loyal)
        outcome.after = settled(url, ping, outcome.before)
        outcome.things, outcome.vanished = storm.things, storm.vanished if cable else None
        if server.poll() is not None:
            outcome.problems.append("the server has ended")
        outcome.log = log.stat().st_size
        if b"Traceback" in log.read_bytes():
            outcome.problems.append("the server has logged a traceback")
    outcome.judge()
    return outcome


def ask(loyal: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what the loyal have seen since the last time."""
    assert loyal.stdin is not None
    loyal.stdin.write("\n")
    loyal.stdin.flush()
    told: dict[str, Any] = json.loads(line(loyal, START_LIMIT))
    return told


def settled(url: str, ping: float, before: dict[str, int] | None = None) -> dict[str, int]:
    """
    Wait until the server has let go of those who have left, and return what it is made of then.

    That is when it has no more tasks and files than ``before``; or, if there is no before, when these have
    not changed for a while. What is kept until an answer to a ping is overdue is gone then, too.
    """
    time.sleep(2 * ping)
    deadline = time.monotonic() + 4 * ping + 2
    seen: list[list[int]] = []
    while True:
        with urlopen(url.replace("ws:", "http:").rstrip("/") + MADE_OF) as response:
            made: dict[str, int] = json.load(response)
        counts = [made["tasks"], made["descriptors"]]
        seen.append(counts)
        if before is None:
            done = seen[-UNCHANGED:] == UNCHANGED * [counts]
        else:
            done = counts[0] <= before["tasks"] and counts[1] <= before["descriptors"]
        if done or time.monotonic() > deadline:
            return made
        time.sleep(0.5)
