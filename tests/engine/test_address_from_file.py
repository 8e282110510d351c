"""Where an engine is, from a file or a variable, as ``trioecho serve`` is run; what is wrong with it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from helpers.engine_server import EngineServer, engine_server
from helpers.server_process import Running, environment, running
from trio_websocket import open_websocket_url

PATIENCE = 60.0
PASSWORD = "Gh7qV2xWm9"


@asynccontextmanager
async def locked_engine(folder: Path) -> AsyncIterator[tuple[EngineServer, str]]:
    """An engine that wants a password, and its URL with it."""
    (files := folder / "engine").mkdir()
    async with engine_server(files, "engine") as engine:
        engine.ask("CONFIG", "SET", "requirepass", PASSWORD)
        yield engine, f"redis://:{PASSWORD}@127.0.0.1:{engine.port}/0"


def written(path: Path, content: str | bytes, mode: int = 0o600) -> Path:
    """Write a file."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def commands_below(pid: int) -> list[str]:
    """What ``ps`` shows of a process and of all that it has started."""
    commands = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = re.search(r"^PPid:\t(\d+)$", (folder / "status").read_text(), re.M)
            commands[int(folder.name)] = (int(parent[1]) if parent else 0, (folder / "cmdline").read_bytes())
        except OSError:
            continue  # it has ended
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(commands[one][1].decode())
        left += [child for child, (above, _) in commands.items() if above == one]
    return found


async def hears_itself(server: Running) -> None:
    """Hold that a room of a server's goes through its engine."""
    async with (
        open_websocket_url(f"{server.url}x") as one,
        open_websocket_url(f"{server.url}x") as other,
    ):
        await one.send_message("to the other")
        assert await other.get_message() == "to the other"


@pytest.mark.parametrize("way", ["--engine-file", "TRIOECHO_ENGINE_FILE", "TRIOECHO_ENGINE"])
async def test_a_server_takes_its_engine_from_a_file_or_a_variable(tmp_path: Path, way: str) -> None:
    with trio.fail_after(PATIENCE):
        async with locked_engine(tmp_path) as (engine, url):
            file = written(tmp_path / "where", f"\n  {url} \r\n")
            value = url if way == "TRIOECHO_ENGINE" else str(file)
            options, variables = ([way, value], {}) if way.startswith("--") else ([], {way: value})
            async with running(*options, variables=variables, patience=PATIENCE) as server:
                up = await server.event("engine-up")
                assert up["host"] == f"127.0.0.1:{engine.port}"
                await hears_itself(server)
                assert PASSWORD not in "".join(commands_below(server.process.pid))
            assert PASSWORD not in "".join(server.lines)
            assert not [entry for entry in server.entries if entry["level"] in ("warning", "error")]


async def test_workers_are_not_told_a_password_where_others_can_read_it(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with locked_engine(tmp_path) as (engine, url):
            file = written(tmp_path / "where", url)
            async with running("--engine-file", str(file), "--workers", "2", patience=PATIENCE) as server:
                await server.event("workers-ready")
                await hears_itself(server)
                commands = commands_below(server.process.pid)
                assert len(commands) == 3  # no private engine
                assert PASSWORD not in "".join(commands)
                # A password that is changed while it runs: the engine is lost, and no secret is said.
                engine.ask_as(PASSWORD, "CONFIG", "SET", "requirepass", "another")
                for kind in ("normal", "pubsub"):
                    engine.ask_as("another", "CLIENT", "KILL", "TYPE", kind)
                await server.event("engine-lost")
            assert PASSWORD not in "".join(server.lines)


async def test_a_file_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with locked_engine(tmp_path) as (_, url):
            file = written(tmp_path / "where", url, 0o644)
            async with running("--engine-file", str(file), patience=PATIENCE) as server:
                await server.event("engine-up")
            warnings = [entry["text"] for entry in server.entries if entry["level"] == "warning"]
            assert warnings == [f"{file} can be read by everybody on this machine: chmod o-r {file}"]


URL = f"redis://:{PASSWORD}@127.0.0.1:1/0"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 1, "--engine-file {file} cannot be read: no such file or directory"),
        ("folder", 1, "--engine-file {file} cannot be read: is a directory"),
        ("", 2, "--engine-file must name a file of one line, but {file} is empty"),
        (
            f"{URL}\n{URL}\n",
            2,
            "--engine-file must name a file of one line, but {file} has more than one line",
        ),
        (URL * 500, 2, "--engine-file must name a file of one line, but {file} is too long"),
        (b"\xff\xfe", 2, "--engine-file must name a file of text, which {file} is not"),
        (
            f"http://:{PASSWORD}@h",
            2,
            "--engine-file must name a file of one line, and that of {file} must begin with redis://,"
            " rediss://, redis+sentinel:// or unix:, for example redis://localhost:6379/0",
        ),
        (
            f"redis://{PASSWORD}#@h",
            2,
            "--engine-file must name a file of one line, and that of {file} has a # in it: write it as %23",
        ),
    ],
    ids=["missing", "folder", "empty", "two lines", "long", "no text", "no engine", "no URL"],
)
async def test_a_file_that_is_wrong_is_named_in_one_sentence(
    tmp_path: Path, content: str | bytes | None, code: int, said: str
) -> None:
    file = tmp_path / "where"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        written(file, content)
    assert await ended("--engine-file", str(file)) == (code, f"trioecho: {said.format(file=file)}\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = written(tmp_path / "where", URL, 0)
    said = f"trioecho: --engine-file {file} cannot be read: permission denied\n"
    assert await ended("--engine-file", str(file)) == (1, said)


async def test_an_engine_is_named_in_one_way(tmp_path: Path) -> None:
    file = written(tmp_path / "where", URL)
    said = "and --engine are two ways to give one thing: use one of them\n"
    by_flag = (2, f"trioecho: --engine-file {said}")
    assert await ended("--engine-file", str(file), "--engine", URL) == by_flag
    assert await ended("--engine-file", str(file), TRIOECHO_ENGINE=URL) == by_flag
    by_variable = (2, f"trioecho: TRIOECHO_ENGINE_FILE {said}")
    assert await ended("--engine", URL, TRIOECHO_ENGINE_FILE=str(file)) == by_variable


async def test_a_variable_that_is_no_engine(tmp_path: Path) -> None:
    code, said = await ended(TRIOECHO_ENGINE=f"http://:{PASSWORD}@h")
    assert code == 2 and said.startswith("trioecho: TRIOECHO_ENGINE must begin with redis://")
    assert len(said.splitlines()) == 1 and PASSWORD not in said


async def ended(*options: str, **variables: str) -> tuple[int, str]:
    """Run a server that should not start, and return its exit code and what it said."""
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", *options]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            command, env=environment(**variables), capture_stderr=True, check=False, stdout=subprocess.DEVNULL
        )
    return done.returncode, done.stderr.decode()
