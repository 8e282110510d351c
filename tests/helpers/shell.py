"""A person's shell: command lines as they are written, in a home and with a `trioecho` of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio
from helpers.server_process import environment

__all__ = ["Shell", "Started", "substituted"]


class Started:
    """A command line that runs: what it reads and writes, line by line."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self._rest = b""

    async def write(self, line: str) -> None:
        """Type a line."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(f"{line}\n".encode())

    async def line(self) -> str:
        """Return the next line of its output."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            data = await self.process.stdout.receive_some()
            assert data, f"it ended with {self._rest!r}"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def interrupt(self) -> None:
        """Press Ctrl-C: the shell and all that it has started get SIGINT."""
        os.killpg(self.process.pid, signal.SIGINT)

    async def end(self) -> tuple[int, str]:
        """End its input; return its exit code, and what is left of its output."""
        assert self.process.stdin is not None and self.process.stdout is not None
        await self.process.stdin.aclose()
        async for data in self.process.stdout:
            self._rest += data
        return await self.process.wait(), self._rest.decode()


class Shell:
    """Where command lines are run: ``folder`` is the home and where the shell is."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        (folder / "bin").mkdir(exist_ok=True)
        trioecho = folder / "bin" / "trioecho"
        trioecho.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m trioecho "$@"\n')
        trioecho.chmod(0o700)
        path = f"{trioecho.parent}:{os.environ['PATH']}"
        self.environment = environment(**{"HOME": str(folder), "PATH": path, **variables})
        for name in [name for name in self.environment if name.lower().endswith("_proxy")]:
            del self.environment[name]

    @asynccontextmanager
    async def start(self, script: str) -> AsyncIterator[Started]:
        """Run a script until the block ends; whatever is left of it then is killed."""
        process = await trio.lowlevel.open_process(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        )
        try:
            yield Started(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with trio.CancelScope(shield=True):
                await process.wait()
                for stream in (process.stdin, process.stdout):
                    if stream is not None:
                        await stream.aclose()

    async def run(self, script: str, *lines: str) -> tuple[int, str]:
        """Run a script that gets these lines; return its exit code and its output."""
        async with self.start(script) as started:
            for line in lines:
                await started.write(line)
            return await started.end()


def substituted(script: str, changes: Iterable[tuple[str, str]]) -> str:
    """Put what a test has in the place of what the README names; each must be there."""
    for before, after in changes:
        assert before in script, f"no {before} in {script!r}"
        script = script.replace(before, after)
    return script
