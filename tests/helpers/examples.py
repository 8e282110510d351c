"""Examples that are run: which test is for which, and what most of them need."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from helpers.markdown import EXAMPLES, Example
from helpers.shell import Shell, Started

import trioecho

__all__ = ["HERE", "PORT", "ExampleTests", "listener_at", "once_there", "python", "serving"]

PATIENCE = 20
"""How long an example may take (seconds) before it counts as hung."""

HERE = "127.0.0.1"

PORT = "127.0.0.1:7890"
"""Where the examples find their server."""

Test = Callable[[str, Path], Awaitable[None]]
"""What gets an example's code and a folder to be in, and runs it."""


class ExampleTests:
    """The tests of all examples on some pages: one function for each, or for several at once."""

    def __init__(self, pages: Iterable[str]) -> None:
        pages = set(pages)
        self.examples = [example for example in EXAMPLES if example.page in pages]
        self._tests: dict[str, Test] = {}

    def test(self, *titles: str) -> Callable[[Test], Test]:
        """Say which examples a test is for, by their titles."""

        def keep(test: Test) -> Test:
            self._tests.update(dict.fromkeys(titles, test))
            return test

        return keep

    def check(self) -> None:
        """Hold that every example has a test, and every test an example."""
        assert sorted(example.title for example in self.examples) == sorted(self._tests)

    def once(self) -> list[Example]:
        """Return the first example of each test: what goes together needs to run only once."""
        first = {self._tests[example.title]: example for example in reversed(self.examples)}
        return sorted(first.values(), key=self.examples.index)

    async def run(self, example: Example, folder: Path, patience: float = PATIENCE) -> None:
        """Run an example's test."""
        with trio.fail_after(patience):
            await self._tests[example.title](example.code, folder)


@asynccontextmanager
async def serving(
    listener: trio.SocketListener,
    tls: ssl.SSLContext | None = None,
    *,
    token: Mapping[str, str] | None = None,
    allowed_host: tuple[str, ...] = (),
) -> AsyncIterator[trioecho.Server]:
    """Serve from a listener, with TLS or without, and shut down when the block ends."""
    listeners = [listener] if tls is None else [trio.SSLListener(listener, tls)]
    run = partial(trioecho.serve, listeners=listeners, token=token or {}, allowed_host=allowed_host)
    async with trio.open_nursery() as nursery:
        server: trioecho.Server = await nursery.start(run)
        yield server
        await server.shutdown()


async def listener_at(port: int = 0) -> tuple[trio.SocketListener, int]:
    """Listen on a port, which may be one that was used a moment ago."""
    (listener,) = await trio.open_tcp_listeners(port, host=HERE)
    return listener, listener.socket.getsockname()[1]


async def once_there(port: int) -> None:
    """Wait until somebody listens on a port."""
    while True:
        try:
            stream = await trio.open_tcp_stream(HERE, port)
        except OSError:
            await trio.sleep(0.05)
        else:
            return await stream.aclose()


@asynccontextmanager
async def python(program: str, folder: Path) -> AsyncIterator[Started]:
    """Run a program as a file of its own, in which a warning is an error."""
    file = folder / "example.py"
    file.write_text(program)
    async with Shell(folder).start(f"exec 2>&1\nexec {sys.executable} -W error {file}") as started:
        yield started
