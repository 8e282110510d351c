"""What the README says is true: its commands run in the order they stand there, and its chat is a chat."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from helpers.browser import free_port
from helpers.markdown import EXAMPLES, README, ROOT, commands
from helpers.pty_terminal import Person
from helpers.server_process import Running, running
from helpers.shell import Shell
from trio_websocket import open_websocket_url
from websockets.sync.client import connect

from trioecho import serve
from trioecho.cli.client.client import DEFAULT_URL

PATIENCE = 20
"""How long a chat may take (seconds) before it counts as hung."""

INSTALL = "python3 -m venv .venv && .venv/bin/pip install --quiet "

SERVE, JOIN, READ, TEST = commands()


def arguments(command: str) -> list[str]:
    """Return what follows ``trioecho`` and its command's name in a command line."""
    return shlex.split(command.rpartition("&& ")[2])[2:]


def test_it_can_be_read_in_two_minutes() -> None:
    assert len(README.splitlines()) <= 150


def test_every_command_finds_what_the_first_one_installs() -> None:
    assert SERVE.startswith(f"{INSTALL}. && .venv/bin/trioecho serve ")
    assert JOIN.startswith(".venv/bin/trioecho client ") and READ.startswith(".venv/bin/trioecho manual ")
    assert {example.language for example in EXAMPLES if example.page == "README"} == {"console"}


async def test_its_commands_work_one_after_another_as_they_stand(tmp_path: Path) -> None:
    """All but the installation, which is what the tests run in; and the port is a free one."""
    shell = Shell(tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(tmp_path / "bin")
    shell.environment["PATH"] = "/usr/bin:/bin"
    shell.environment["TRIOECHO_PORT"] = str(port := free_port())
    start = SERVE.removeprefix(f"{INSTALL}. && ")
    join = f"{JOIN} ws://127.0.0.1:{port}"
    with trio.fail_after(PATIENCE):
        async with shell.start(f"exec 2>&1\n{start}") as server:
            assert f"listening url=ws://127.0.0.1:{port}/ page=http" in await server.line()
            async with shell.start(join) as first:
                assert "connected" in await server.line()
                assert await shell.run(join, "Is anybody there?") == (0, "")
                assert await first.line() == "Someone said: Hello Server!"
                assert await first.line() == "Someone said: Is anybody there?"
                assert "connected" in await server.line()
                assert "disconnected" in await server.line()
                assert await first.end() == (0, "")
            code, page = await shell.run(READ)
            assert code == 0 and page.startswith("# Serving\n")
            server.interrupt()
            code, log = await server.end()
            assert code == 0 and "stopped" in log


def test_the_check_runs_its_test_command() -> None:
    assert TEST == f"{INSTALL}--editable '.[test]' && .venv/bin/python -m pytest"
    assert TEST in (ROOT / ".ci" / "run").read_text()


def test_the_server_listens_where_it_says() -> None:
    defaults = inspect.signature(serve).parameters
    address = f"{defaults['host'].default}:{defaults['port'].default}/"
    assert f"<http://{address}>" in README and f"url=ws://{address} page=http://{address}" in README
    assert f"port {defaults['port'].default}" in README
    assert DEFAULT_URL == f"ws://{address}"


# The chat.


@asynccontextmanager
async def chatting() -> AsyncIterator[tuple[Running, str]]:
    """The README's server; gives also the README's line for a client, with the server's URL added."""
    with trio.fail_after(PATIENCE):
        async with running(*arguments(SERVE)) as server:
            yield server, f"trioecho client {shlex.join(arguments(JOIN))} {server.url}"


async def test_the_picture_shows_what_the_server_logs() -> None:
    pictured = re.findall(r"^[\d-]+ [\d:]+ info (\S+) (.*)$", README, re.M)
    assert [event for event, _ in pictured] == ["listening", "connected", "connected", "disconnected"]
    async with chatting() as (server, _):
        async with open_websocket_url(server.url):
            await server.event("connected")
        await server.event("disconnected")
        for event, values in pictured:
            (entry,) = server.find(event)
            assert set(re.findall(r"(\w+)=", values)) <= set(entry)


async def test_the_chat_between_two_clients_in_pipes(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    async with chatting() as (server, join), shell.start(join) as first:
        await server.event("connected")
        async with shell.start(join) as second:
            assert await first.line() == "Someone said: Hello Server!"
            await second.write("Is anybody there?")
            assert await first.line() == "Someone said: Is anybody there?"
            await first.write("Yes.")
            # The first that the second gets: neither its greeting nor its question came back to it.
            assert await second.line() == "Someone said: Yes."
            assert await second.end() == (0, "")
        assert await first.end() == (0, "")


async def test_the_chat_between_two_terminals(tmp_path: Path) -> None:
    async with chatting() as (server, join):
        await trio.to_thread.run_sync(partial(chat_at_terminals, join, tmp_path))
        await server.event("disconnected", code=1000, count=2)


def chat_at_terminals(join: str, home: Path) -> None:
    *options, url = arguments(join)
    with Person(url, home, *options) as first:
        first.see(r"in 0 · out 0 .*/help")
        with Person(url, home, *options) as second:
            first.see(r"◂ Someone said: Hello Server!$")
            second.type("Is anybody there?\r")
            first.see(r"◂ Someone said: Is anybody there\?$")
            first.type("Yes.\r")
            second.see(r"◂ Someone said: Yes\.$")
            assert second.shown().count("Someone said:") == 1
            assert first.shown().count("Someone said:") == 2
            second.type("/quit\r")
            assert second.leave() == 0
        first.type("\x04")
        assert first.leave() == 0


async def test_the_chat_with_other_peoples_clients(tmp_path: Path) -> None:
    async with chatting() as (server, join), open_websocket_url(server.url) as one:
        # What blocks here holds up nobody: the server and our client are processes of their own.
        with connect(server.url, compression=None) as other:
            async with Shell(tmp_path).start(join) as ours:
                assert await one.get_message() == "Someone said: Hello Server!"
                assert other.recv(PATIENCE) == "Someone said: Hello Server!"
                await one.send_message("from trio-websocket")
                assert await ours.line() == "Someone said: from trio-websocket"
                assert other.recv(PATIENCE) == "Someone said: from trio-websocket"
                other.send("from websockets")
                assert await ours.line() == "Someone said: from websockets"
                assert await one.get_message() == "Someone said: from websockets"
                await ours.write("from trioecho")
                assert await one.get_message() == "Someone said: from trioecho"
                assert other.recv(PATIENCE) == "Someone said: from trioecho"
                assert await ours.end() == (0, "")
