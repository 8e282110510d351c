"""All servers of an engine, asked through it how they are, as ``trioecho top --engine`` does."""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

pytest.importorskip("hiredis", reason="needs hiredis: pip install 'trioecho[redis]'")

from helpers.engine_server import EngineServer, engine_server
from helpers.other_servers import ENVIRONMENT, command
from helpers.raw_peer import joined
from helpers.server import serving
from helpers.server_process import running

from trioecho import open_hub
from trioecho.cli.top.engine_source import EngineSource
from trioecho.cli.top.source import Away
from trioecho.engine.answers import question_channel
from trioecho.web.status import Status

PATIENCE = 60.0


async def until(source: EngineSource, nodes: int, missing: int = 0) -> Status:
    """Ask until so many servers answer, and so many do not."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                found = await source.get()
            except Away:
                await trio.sleep(0.05)
                continue
            if (len(found.nodes), found.missing) == (nodes, missing):
                return found
            await trio.sleep(0.05)


async def test_all_servers_answer_and_shared_rooms_are_added_up(tmp_path: Path) -> None:
    async with engine_server(tmp_path) as engine, AsyncExitStack() as stack:
        one = await stack.enter_async_context(serving(engine=engine.url))
        other = await stack.enter_async_context(serving(engine=engine.url))
        for server in (one, other, other):
            await stack.enter_async_context(joined(server.url, b"/room"))
        source = EngineSource(engine.url, "te1")
        found = await until(source, 2)
        assert found.names and sorted(node.websocket for node in found.nodes) == [1, 2]
        assert [(room.room, room.subscribers) for room in found.rooms] == [("/room", 3)]
        assert all(node.engine_up for node in found.nodes)
        assert f"engine {engine.url}  round trip " in str(source)
        # Nothing is kept in the engine for it but the rooms' own.
        keys = engine.ask("KEYS", "*")
        assert not [key for key in keys if b"status" in key]


async def test_servers_that_share_a_hub_are_one_with_the_clients_of_all(tmp_path: Path) -> None:
    async with (
        engine_server(tmp_path) as engine,
        open_hub(engine=engine.url) as hub,
        serving(hooks={"hub": hub}) as one,
        joined(one.url, b"/room"),
    ):
        source = EngineSource(engine.url, "te1")
        async with serving(hooks={"hub": hub}) as other, joined(other.url, b"/room"), joined(other.url):
            while (await until(source, 1)).nodes[0].websocket != 3:  # noqa: ASYNC110 - only asking tells
                await trio.sleep(0.01)
        while (await until(source, 1)).nodes[0].websocket != 1:  # noqa: ASYNC110 - only asking tells
            await trio.sleep(0.01)


async def test_servers_of_another_prefix_or_with_it_off_are_not_asked(tmp_path: Path) -> None:
    async with (
        engine_server(tmp_path) as engine,
        serving(engine=engine.url, engine_prefix="other"),
        serving(engine=engine.url, status=False),
    ):
        assert len((await until(EngineSource(engine.url, "other"), 1)).nodes) == 1
        with pytest.raises(
            Away, match=r"no server answers there \(none has --engine-prefix te1, or all have --no-status\)"
        ):
            await EngineSource(engine.url, "te1").get()


async def test_a_server_that_is_stopped_is_missing_and_one_that_is_killed_is_gone(tmp_path: Path) -> None:
    async with engine_server(tmp_path) as engine, serving(engine=engine.url):
        async with running("--engine", engine.url) as other:
            source = EngineSource(engine.url, "te1")
            await until(source, 2)
            other.signal(signal.SIGSTOP)
            await until(source, 1, missing=1)
            other.signal(signal.SIGCONT)
            await until(source, 2)
        await until(source, 1)


async def test_it_goes_on_when_the_engine_was_away_emptied_or_cut_everybody_off(tmp_path: Path) -> None:
    async with engine_server(tmp_path) as engine, serving(engine=engine.url):
        source = EngineSource(engine.url, "te1")
        await until(source, 1)
        engine.cut()
        await until(source, 1)
        engine.ask("FLUSHALL")
        await until(source, 1)
        engine.kill()
        with pytest.raises(Away, match="cannot connect: no such file"):
            await source.get()
        await engine.start()
        await until(source, 1)


async def test_who_asks_by_hand_with_nonsense_is_not_answered(tmp_path: Path) -> None:
    async with engine_server(tmp_path) as engine, serving(engine=engine.url) as server:
        await until(EngineSource(engine.url, "te1"), 1)
        channel = question_channel("te1").decode()
        for asker in ("", "x" * 100_000, "../../..", "abc:defg", "k3x9f2aa\n"):
            assert engine.ask("PUBLISH", channel, asker) == 1
        await until(EngineSource(engine.url, "te1"), 1)
        assert not [entry for entry in server.entries if "traceback" in entry]


async def test_nobody_who_does_not_ask_costs_anything(tmp_path: Path) -> None:
    async with engine_server(tmp_path) as engine, serving(engine=engine.url) as server:
        await until(EngineSource(engine.url, "te1"), 1)
        calls = commands_of(engine, "publish")
        await trio.sleep(0.5)
        assert commands_of(engine, "publish") == calls
        assert server.url


def commands_of(engine: EngineServer, name: str) -> int:
    """Return how often an engine was given a command."""
    for line in engine.ask("INFO", "commandstats").decode().splitlines():
        if line.startswith(f"cmdstat_{name}:"):
            return int(line.partition("calls=")[2].partition(",")[0])
    return 0


async def test_the_rights_that_the_manual_gives_are_enough(tmp_path: Path) -> None:
    from helpers.markdown import MANUAL

    page = (MANUAL / "engine.md").read_text()
    rule = " ".join(page.partition("ACL SETUSER trioecho")[2].partition("```")[0].split())
    async with engine_server(tmp_path) as engine:
        engine.ask("ACL", "SETUSER", "trioecho", *rule.replace("PASSWORD", "secret").split())
        url = f"redis://trioecho:secret@127.0.0.1:{engine.port}"
        async with serving(engine=url):
            source = EngineSource(url, "te1")
            assert len((await until(source, 1)).nodes) == 1
            assert "secret" not in str(source)


async def test_top_shows_them_in_a_script(tmp_path: Path) -> None:
    async with engine_server(tmp_path) as engine, serving(engine=engine.url), serving(engine=engine.url):
        await until(EngineSource(engine.url, "te1"), 2)
        for arguments, variables in (
            (["--engine", engine.url], {}),
            ([], {"TRIOECHO_ENGINE": engine.url}),
        ):
            done = await trio.run_process(
                command("top", "--json", *arguments),
                capture_stdout=True,
                env={**ENVIRONMENT, **variables},
            )
            found = json.loads(done.stdout)
            assert len(found["nodes"]) == 2 and found["rates"]["messages_in"] == 0
            assert all(node["rates"] is not None for node in found["nodes"])


def test_what_is_wrong_with_the_engine_is_said_without_its_password(tmp_path: Path) -> None:
    for url, code, sentence in (
        (f"unix:{tmp_path}/none", 1, f"engine unix:{tmp_path}/none: cannot connect: no such file"),
        ("redis://:hunter2@127.0.0.1:1", 1, "engine 127.0.0.1:1: cannot connect: connection refused"),
        ("http://x", 2, "--engine must begin with redis://"),
    ):
        done = subprocess.run(
            command("top", "--json", "--engine", url),
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=60,
            check=False,
        )
        assert done.returncode == code and done.stderr.startswith(f"trioecho: {sentence}")
        assert done.stderr.count("\n") == 1 and "hunter2" not in done.stderr
