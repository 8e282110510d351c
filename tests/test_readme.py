"""What the README says is true: its commands, its chat and its examples are run as they stand."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import get_args

import trio
import typer
from helpers import markdown as readme
from helpers.other_servers import websockets_server
from helpers.pty_terminal import Person
from helpers.server_process import Running, running
from helpers.shell import Shell
from trio_websocket import open_websocket_url
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection

from trioecho import serve
from trioecho.cli import app
from trioecho.cli.client.client import DEFAULT_URL
from trioecho.cli.client.terminal import COMMANDS
from trioecho.settings import WhenSlow

PATIENCE = 20
"""How long a chat may take (seconds) before it counts as hung."""


def run_example(example: str) -> tuple[str, str]:
    """Run a Python example: what it wrote on standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout, done.stderr


def test_the_embedding_example_runs_and_prints_both_messages() -> None:
    example = next(block for block in readme.blocks("python") if "trioecho.serve" in block)
    assert run_example(example) == ("from a client\nfrom the application\n", "")


def test_the_library_example_sends_and_prints_until_the_server_is_done() -> None:
    (example,) = [block for block in readme.blocks("python") if "trioecho.client" in block]
    heard: list[str | bytes] = []

    def answer(connection: ServerConnection) -> None:
        heard.append(connection.recv())
        connection.send("Hello client!")
        connection.send("Bye.")

    with websockets_server(answer) as url:
        assert example.count("ws://127.0.0.1:7890/") == 1
        assert run_example(example.replace("ws://127.0.0.1:7890/", url)) == ("Hello client!\nBye.\n", "")
    assert heard == ["Hello Server!"]


def test_the_check_runs_the_readmes_test_command() -> None:
    (command,) = [command for command in readme.commands() if "pytest" in command]
    assert command in (readme.ROOT / ".ci" / "run").read_text()


def test_the_server_starts_where_the_readme_says() -> None:
    (command,) = [command for command in readme.commands() if command.endswith("/trioecho serve")]
    assert "pip install . " in command
    defaults = inspect.signature(serve).parameters
    url = f"ws://{defaults['host'].default}:{defaults['port'].default}/"
    assert f"It listens on `{url}`" in readme.TEXT
    assert f"(default `{url}`;" in readme.TEXT
    assert DEFAULT_URL == url


# The chat.


@asynccontextmanager
async def chatting() -> AsyncIterator[tuple[Running, str]]:
    """The README's server; gives also the README's line for a client, with the server's URL added."""
    (start,) = readme.commands("trioecho serve ")
    (join,) = readme.commands("trioecho client ")
    with trio.fail_after(PATIENCE):
        async with running(*shlex.split(start)[2:]) as server:
            yield server, f"{join} {server.url}"


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
    *options, url = shlex.split(join)[2:]
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


async def test_what_curl_publishes_curl_hears() -> None:
    """The lines of the section on HTTP, with the server's port in the place of the default one."""
    listen, publish = readme.blocks("sh", readme.TEXT.partition("## One port")[2])[:2]
    start, publish = publish.strip().split("\n")
    variable, _, command = start.partition(" ")
    assert command == "trioecho serve"
    name, _, token = variable.partition("=")
    async with running(variables={name: token}) as server, trio.open_nursery() as nursery:
        address = server.url.removeprefix("ws://").rstrip("/")
        shell = ["bash", "-c", listen.replace("127.0.0.1:7890", address)]
        curl = await nursery.start(partial(trio.run_process, shell, stdout=subprocess.PIPE, check=False))
        await server.event("connected", room="/news")
        await trio.run_process(
            ["bash", "-c", publish.replace("127.0.0.1:7890", address)], capture_stdout=True
        )
        heard = b""
        while b"data: Hello\n" not in heard:
            heard += await curl.stdout.receive_some()
        nursery.cancel_scope.cancel()


# What else can be told from the text.


def test_every_option_that_is_named_exists() -> None:
    commands = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    options = [option for command in commands for option in command.params]
    known = {name for option in options for name in (*option.opts, *option.secondary_opts)}
    pip = {"--quiet", "--editable"}
    ours = re.sub(r"`python tests/benchmarks[^`]*`", "", readme.TEXT)  # the comparison has options of its own
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", ours))
    assert named - pip - known == {"--help", "--install-completion"}


def test_every_policy_and_every_terminal_command_is_told() -> None:
    for policy in get_args(WhenSlow):
        assert re.search(rf"^\| `{policy}`", readme.TEXT, re.M)
    told = set(re.findall(r"`(/[a-z]+)[ `]", readme.TEXT.partition("`/help` tells")[2].partition("paste")[0]))
    assert told == set(re.findall("^/[a-z]+", COMMANDS, re.M))
