"""The examples of the manual's page about the engine, run with an engine of the test's own."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from helpers.engine_server import MISSING, PROGRAMS, EngineServer, engine_server
from helpers.examples import ExampleTests, python
from helpers.markdown import Example, example
from helpers.pty_terminal import watch
from helpers.shell import Shell, substituted

import trioecho
from trioecho import open_client

EXAMPLES = ExampleTests({"engine"})

NAMED = "redis://10.0.0.5/0"


@asynccontextmanager
async def shared(folder: Path) -> AsyncIterator[tuple[EngineServer, trioecho.Subscription]]:
    """A server on an engine, and what is said in its room /news."""
    (files := folder / "engine").mkdir()
    async with engine_server(files) as engine, trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=0, engine=engine.url))
        async with server.hub.subscribe("/news") as news:
            yield engine, news
        await server.shutdown()


@EXAMPLES.test("Install what it needs, and name the engine: on every machine the same line")
async def turn_it_on(script: str, folder: Path) -> None:
    async with shared(folder) as (engine, _):
        changes = [
            ("pip install 'trioecho[redis]'\n", ""),
            ("--host 0.0.0.0 ", "--port 0 "),
            ("redis://10.0.0.5:6379/0", f"redis://127.0.0.1:{engine.port}/0"),
        ]
        async with Shell(folder).start(f"exec 2>&1\n{substituted(script, changes)}") as server:
            while "engine-up" not in await server.line():
                pass
            server.interrupt()
            code, log = await server.end()
            assert code == 0 and "Traceback" not in log


@EXAMPLES.test("Serve with a process for each processor")
async def serve_with_workers(script: str, folder: Path) -> None:
    if not PROGRAMS:
        pytest.skip(MISSING)
    changes = [("pip install 'trioecho[workers]'\n", ""), ("--workers auto", "--workers 2 --port 0")]
    async with Shell(folder).start(f"exec 2>&1\n{substituted(script, changes)}") as server:
        while "workers-ready" not in await server.line():
            pass
        server.interrupt()
        code, log = await server.end()
        assert code == 0 and "Traceback" not in log


@EXAMPLES.test("Let the clients of one server hear each other without a way through the engine")
async def hear_each_other(script: str, folder: Path) -> None:
    async with shared(folder) as (engine, news):
        command = substituted(script, [(NAMED, engine.url), ("serve ", "serve --port 0 ")])
        async with Shell(folder).start(f"exec 2>&1\n{command}") as server:
            while not (found := re.search("listening url=(ws://[^ ]+/)", line := await server.line())):
                assert line
            async with (
                open_client(f"{found[1]}news") as speaker,
                open_client(f"{found[1]}news") as listener,
            ):
                await speaker.send("before the engine was asked")
                assert await anext(news) == "before the engine was asked"
                assert await listener.receive() == "before the engine was asked"
                engine.signal(signal.SIGSTOP)
                await speaker.send("while it stands still")
                assert await listener.receive() == "while it stands still"
                engine.signal(signal.SIGCONT)
                assert await anext(news) == "while it stands still"
            server.interrupt()
            code, log = await server.end()
            assert code == 0 and "Traceback" not in log


@EXAMPLES.test("What all servers do now, with the engine's round trip")
async def watch_all(script: str, folder: Path) -> None:
    async with shared(folder) as (engine, _):
        command = substituted(script, [(NAMED, engine.url)])
        see = partial(watch, folder, *shlex.split(command, comments=True)[2:], sees="1 server answers")
        await trio.to_thread.run_sync(see)


@EXAMPLES.test("Publish in a room, on all servers")
async def publish(script: str, folder: Path) -> None:
    async with shared(folder) as (engine, news):
        assert await Shell(folder).run(substituted(script, [(NAMED, engine.url)])) == (0, "")
        assert await anext(news) == "The build is green."


@EXAMPLES.test("Publish from a program")
async def publish_from_a_program(program: str, folder: Path) -> None:
    async with shared(folder) as (engine, news):
        async with python(substituted(program, [(NAMED, engine.url)]), folder) as running:
            assert await running.end() == (0, "")
        assert await anext(news) == "The build is green."


@EXAMPLES.test(
    "publish.lua: append one text message to a room's log, and tell the servers",
    "Run it: the second argument is eight random letters, for a room in which nobody has spoken yet",
)
async def publish_from_any_language(_: str, folder: Path) -> None:
    if shutil.which("redis-cli") is None:
        pytest.skip("needs redis-cli: apt-get install redis-tools")
    (folder / "publish.lua").write_text(
        example("engine", "publish.lua: append one text message to a room's log, and tell the servers")
    )
    script = example(
        "engine",
        "Run it: the second argument is eight random letters, for a room in which nobody has spoken yet",
    )
    async with shared(folder) as (engine, news):
        for number, text in enumerate(("The build is green.", "x" * 200, "é" * 40_000), 1):
            changes = [("redis-cli", f"redis-cli -s {engine.path}"), ("The build is green.", text)]
            code, answer = await Shell(folder).run(substituted(script, changes))
            assert (code, answer.split()[-1]) == (0, str(number))
            assert await anext(news) == text


def test_every_example_has_a_test() -> None:
    EXAMPLES.check()


@pytest.mark.parametrize("example", EXAMPLES.once(), ids=str)
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await EXAMPLES.run(example, tmp_path)
