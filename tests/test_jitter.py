"""
Connections that are lost again and again: everything arrives, once and in order, or is told exactly.

The programs are those of the manual, and our server is behind a relay that cuts them off for two seconds at a
time while messages flow: the browser's own EventSource, fifteen lines of JavaScript and the server's page in
Chromium, the same lines in Node, and fifteen lines of Python. Some of it again over TLS.
"""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from helpers.browser import chromium
from helpers.markdown import example
from helpers.relay import Relay
from helpers.server import serving
from helpers.server_process import environment
from helpers.shell import substituted

EVENTS = "Show what is said in a room, and what is missing, in any browser"
JAVASCRIPT = "Listen to a room, and lose nothing when the connection is lost"
PYTHON = "Listen with the websockets library, and lose nothing"

NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="needs node: apt-get install nodejs")

MISSED = re.compile(r"missed (\d+|unknown)|(\d+) messages? (?:was|were|is|are) miss(?:ed|ing here\.)")

ROUNDS = 3
"""How often the connections are lost."""

AWAY = 2.0
"""For how long (seconds)."""


class Heard(list[str]):
    """The lines that a program has printed."""

    def numbers(self) -> list[int]:
        """Which messages it had."""
        return [int(line) for line in self if line.isdigit()]

    def missed(self) -> list[str]:
        """What it was told is missing."""
        return [found[1] or found[2] for line in self if (found := MISSED.fullmatch(line))]


Program = Callable[[Heard, int, Path], Any]


@asynccontextmanager
async def running(heard: Heard, *command: str, **variables: str) -> AsyncIterator[None]:
    """Run a program, and keep the lines that it prints."""
    async with trio.open_nursery() as nursery:
        variables = {**environment(), **variables}
        process = await trio.lowlevel.open_process([*command], stdout=-1, stderr=-2, env=variables)
        nursery.start_soon(read_lines, process, heard)
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
            nursery.cancel_scope.cancel()


async def read_lines(process: trio.Process, heard: Heard) -> None:
    assert process.stdout is not None
    rest = b""
    async for data in process.stdout:
        *lines, rest = (rest + data).split(b"\n")
        heard += [line.decode() for line in lines]


def at(script: str, port: int) -> str:
    return substituted(script, [("127.0.0.1:7890", f"127.0.0.1:{port}")])


def in_node(heard: Heard, port: int, folder: Path) -> Any:
    file = folder / "listen.mjs"
    file.write_text(at(example("history", JAVASCRIPT), port))
    assert NODE is not None
    return running(heard, NODE, "--no-warnings", "--experimental-websocket", str(file))


def in_python(heard: Heard, port: int, folder: Path) -> Any:
    file = folder / "listen.py"
    file.write_text(at(example("history", PYTHON), port))
    return running(heard, sys.executable, str(file))


def by_command(heard: Heard, port: int, folder: Path) -> Any:
    command = [sys.executable, "-u", "-m", "trioecho", "listen", "--reconnect", "--reconnect-max-delay", "1"]
    return running(heard, *command, f"ws://127.0.0.1:{port}/news")


LINES_OF_THE_PAGE = """() => [...document.querySelectorAll("#log li")].slice(window.read || 0).map((row) => {
    window.read = (window.read || 0) + 1
    return (row.querySelector(".text") || row).innerText.trim()
})"""
"""The rows that the page has added to its log."""


def in_node_over_tls(heard: Heard, port: int, folder: Path) -> Any:
    file = folder / "listen_over_tls.mjs"
    file.write_text(at(example("history", JAVASCRIPT), port).replace("ws://", "wss://"))
    assert NODE is not None
    command = (NODE, "--no-warnings", "--experimental-websocket", str(file))
    return running(heard, *command, NODE_EXTRA_CA_CERTS=str(folder / "authority.pem"))


def by_command_over_tls(heard: Heard, port: int, folder: Path) -> Any:
    command = [sys.executable, "-u", "-m", "trioecho", "listen", "--reconnect", "--reconnect-max-delay", "1"]
    return running(heard, *command, "--cacert", str(folder / "authority.pem"), f"wss://127.0.0.1:{port}/news")


@asynccontextmanager
async def in_chromium(heard: Heard, port: int, script: str | None) -> AsyncIterator[None]:
    """Run a script in a page of the server's, or read its own, in a thread that has a browser of its own."""
    ready, over = trio.Event(), threading.Event()
    token = trio.lowlevel.current_trio_token()

    def look() -> None:
        starting: Iterator[Any] = chromium()
        page = next(starting).new_page()
        if script is not None:
            page.on("console", lambda message: heard.append(message.text))
        page.goto(f"http://127.0.0.1:{port}/{'news' if script is None else 'elsewhere'}")
        page.evaluate(f"() => {{ {script or ''} }}")
        token.run_sync_soon(ready.set)
        while not over.is_set():
            page.wait_for_timeout(50)
            if script is None:
                heard.extend(page.evaluate(LINES_OF_THE_PAGE))
        next(starting, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, look)
        await ready.wait()
        try:
            yield
        finally:
            over.set()


def with_events(heard: Heard, port: int, folder: Path) -> Any:
    return in_chromium(heard, port, at(example("history", EVENTS), port))


def with_v1_in_chromium(heard: Heard, port: int, folder: Path) -> Any:
    return in_chromium(heard, port, at(example("history", JAVASCRIPT), port))


def with_the_page(heard: Heard, port: int, folder: Path) -> Any:
    return in_chromium(heard, port, None)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what programs of their own do."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.02)


async def cut_again_and_again(
    programs: Sequence[Program], folder: Path, **options: Any
) -> tuple[list[Heard], int]:
    """Run programs whose connections are lost again and again while messages flow, and see them through."""
    hearers = [Heard() for _ in programs]
    said = 0
    async with serving(**options) as server, trio.open_nursery() as nursery, AsyncExitStack() as stack:
        port = int(server.url.rstrip("/").rpartition(":")[2])
        # Node 20's WebSocket says nothing at all when a connection is refused.
        relays = [Relay(port, holds=program in (in_node, in_node_over_tls)) for program in programs]
        for program, relay, heard in zip(programs, relays, hearers, strict=True):
            await nursery.start(relay.run)
            await stack.enter_async_context(program(heard, relay.port, folder))
        await until(lambda: server.server.hub.rooms.get("/news") == len(programs))

        async def talk() -> None:
            nonlocal said
            while True:
                await server.server.hub.publish("/news", str(said + 1))  # or it is cancelled, and not said
                said += 1
                await trio.sleep(0.02)

        def going_on() -> Callable[[], bool]:
            there = [len(heard.numbers()) for heard in hearers]
            return lambda: all(
                len(heard.numbers()) > before + 10 for heard, before in zip(hearers, there, strict=True)
            )

        async with trio.open_nursery() as talking:
            talking.start_soon(talk)
            for _ in range(ROUNDS):
                await until(going_on())
                for relay in relays:
                    relay.cut()
                await trio.sleep(AWAY)
                for relay in relays:
                    relay.mend()
            await until(going_on())
            talking.cancel_scope.cancel()
        await until(lambda: all(heard.numbers()[-1] == said for heard in hearers))
        assert all(relay.cuts >= ROUNDS for relay in relays)
        nursery.cancel_scope.cancel()
    return hearers, said


GROUPS = [
    pytest.param([in_python, in_node], id="Python, Node", marks=needs_node),
    pytest.param([by_command], id="trioecho listen"),
    pytest.param([with_events, with_v1_in_chromium], id="Chromium", marks=pytest.mark.browser),
    pytest.param([with_the_page], id="the page", marks=pytest.mark.browser),
]


@pytest.mark.parametrize("programs", GROUPS)
async def test_everything_arrives_once_and_in_order(
    programs: list[Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helpers.server.PATIENCE", 90)
    hearers, said = await cut_again_and_again(programs, tmp_path, history=10_000)
    for heard in hearers:
        assert heard.numbers() == list(range(1, said + 1))
        assert heard.missed() == []


@needs_node
async def test_over_tls_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helpers.server.PATIENCE", 90)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "cert.pem")
    programs: list[Program] = [in_node_over_tls, by_command_over_tls]
    options = {"history": 10_000, "tls_cert": str(tmp_path / "cert.pem")}
    hearers, said = await cut_again_and_again(programs, tmp_path, **options)
    for heard in hearers:
        assert heard.numbers() == list(range(1, said + 1))
        assert heard.missed() == []


@pytest.mark.parametrize("programs", GROUPS)
async def test_with_a_history_that_is_too_short_the_number_is_told_exactly(
    programs: list[Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helpers.server.PATIENCE", 90)
    hearers, said = await cut_again_and_again(programs, tmp_path, history=5, history_bytes=4_000)
    for heard in hearers:
        assert len(heard.missed()) == ROUNDS
        expected = 1
        for line in heard:  # each is told where it stands
            if line.isdigit():
                assert int(line) == expected
                expected += 1
            elif found := MISSED.fullmatch(line):
                expected += int(found[1] or found[2])
        assert expected == said + 1
