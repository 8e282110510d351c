"""A server in a process of its own, started as a person starts it, with its log to wait for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from helpers.log import LogBook

import trioecho

__all__ = ["Running", "environment", "running"]

PATIENCE = 30.0
"""How long a test may take (seconds) before it counts as hung."""


def environment(**variables: str) -> dict[str, str]:
    """The environment for a command: this trioecho, none of the caller's own settings, and ``variables``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TRIOECHO_")}
    return {**inherited, "PYTHONPATH": str(Path(trioecho.__file__).parents[1]), **variables}


class Running(LogBook):
    """A server process: the lines it writes on stderr, as text and as entries, and its end."""

    def __init__(self, process: trio.Process) -> None:
        super().__init__()
        self.process = process
        self.lines: list[str] = []
        self.url = ""

    async def read_log(self) -> None:
        """Read stderr until it ends; a line that is no JSON is an entry with the event ``line``."""
        assert self.process.stderr is not None
        rest = b""
        async for data in self.process.stderr:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.lines.append(line.decode())
                try:
                    entry = json.loads(line)
                except ValueError:
                    entry = {"event": "line", "text": line.decode()}
                if entry["event"] == "line" and b"Traceback (most recent call last)" in line:
                    entry["traceback"] = "on stderr"
                self.add(entry)
        assert rest == b"", "the log ends in the middle of a line"

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait until it has ended."""
        return await self.process.wait()

    @property
    def memory(self) -> int:
        """How much memory it takes up (bytes; resident)."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def running(
    *options: str,
    log_format: str = "json",
    variables: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
    through: Sequence[str] = (),
) -> AsyncIterator[Running]:
    """
    Run ``trioecho serve`` on a free port until the block ends, then shut it down.

    Its command begins with ``through``. It must end by itself and with exit code 0, unless the block has
    ended it already.
    """
    serve = [sys.executable, "-m", "trioecho", "serve", "--port", "0", "--log-format", log_format]
    command = [*through, *serve, *options]
    with trio.fail_after(patience):
        process = await trio.lowlevel.open_process(
            command, stderr=subprocess.PIPE, env=environment(**(variables or {}))
        )
        server = Running(process)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.read_log)
                if log_format == "json":
                    server.url = (await server.event("listening"))["url"]
                else:
                    server.url = (await server.event("line"))["text"].partition("url=")[2].partition(" ")[0]
                yield server
                if process.returncode is None:
                    server.signal(signal.SIGTERM)
                    assert await server.exit_code() == 0
        finally:
            if process.returncode is None:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
        assert not server.tracebacks, "\n".join(server.lines)
