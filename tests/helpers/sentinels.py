"""Sentinels of a test's own, which watch a primary and its replica."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import hiredis
import pytest
import trio
from helpers.engine_server import MISSING, PROGRAMS, EngineServer, engine_server, free_port, talk

__all__ = ["PRIMARY", "Sentinel", "Watched", "watched"]

PRIMARY = "mymaster"
"""The name of what they watch."""


class Sentinel:
    """
    One sentinel, in ``folder``, which takes the primary for dead after half a second.

    It watches the primary on its usual port, or on ``watching``; ``more`` is more of its configuration.
    """

    def __init__(
        self, folder: Path, name: str, primary: EngineServer, quorum: int, *more: str, watching: int = 0
    ) -> None:
        self.port = free_port()
        self._path = folder / f"{name}.sock"
        self._config = folder / f"{name}.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"unixsocket {self._path}",
            f"dir {folder}",
            f"sentinel monitor {PRIMARY} 127.0.0.1 {watching or primary.port} {quorum}",
            f"sentinel down-after-milliseconds {PRIMARY} 500",
            f"sentinel failover-timeout {PRIMARY} 2000",
            *more,
        ]
        self._config.write_text("\n".join(lines))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        command = [PROGRAMS["redis-server"], str(self._config), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def ask(self, *commands: tuple[str | int, ...]) -> Any:
        """Ask it one thing after another, and return the last answer; an error is raised."""
        return talk(self._path, commands)

    async def knows(self, replicas: int, sentinels: int, *login: tuple[str | int, ...]) -> None:
        """Wait until it knows so many replicas and other sentinels, and that the primary is well."""
        while True:
            try:
                found = self.ask(*login, ("SENTINEL", "MASTER", PRIMARY))
            except (OSError, hiredis.ReplyError):
                found = []
            known = dict(zip(found[::2], found[1::2], strict=True))
            counts = known.get(b"num-slaves"), known.get(b"num-other-sentinels")
            if counts == (b"%d" % replicas, b"%d" % sentinels) and known[b"flags"] == b"master":
                return
            await trio.sleep(0.05)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Watched:
    """A primary, its replica, and who watches them; ``url`` is that of an engine."""

    def __init__(self, first: EngineServer, second: EngineServer, sentinels: list[Sentinel]) -> None:
        self.first = first
        self.second = second
        self.sentinels = sentinels
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        self.url = f"redis+sentinel://{hosts}/{PRIMARY}/0"


@asynccontextmanager
async def watched(folder: Path, *, sentinels: int = 3) -> AsyncIterator[Watched]:
    """Run a primary, a replica and sentinels that know each other, for the length of a block."""
    if "redis-server" not in PROGRAMS:
        pytest.skip(f"redis-server: {MISSING}")
    started: list[Sentinel] = []
    async with (
        engine_server(folder, "first", program="redis-server") as first,
        engine_server(folder, "second", program="redis-server") as second,
    ):
        second.ask("REPLICAOF", "127.0.0.1", first.port)
        await second.until(b"master_link_status:up", "INFO", "replication")
        try:
            for number in range(sentinels):
                started.append(Sentinel(folder, f"sentinel{number}", first, sentinels // 2 + 1))
                started[-1].start()
            for sentinel in started:
                await sentinel.knows(1, sentinels - 1)
            yield Watched(first, second, started)
        finally:
            for sentinel in started:
                sentinel.kill()
