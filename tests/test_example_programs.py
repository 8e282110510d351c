"""The programs that trioecho brings: each is run, each is typed, and the command lists them all."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from helpers.browser import free_port
from helpers.examples import HERE, once_there
from helpers.http_client import fetch

import trioecho
from trioecho.cli.example import example_names, run_program
from trioecho.client import Options, Rejected, open_client

FOLDER = Path(trioecho.__file__).parent / "examples"

NAMES = ["bot", "bridge", "chat", "guest", "plot", "rpc", "simulation", "ticker", "tokens"]


@asynccontextmanager
async def running(name: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Run an example in this process, on a port that is free."""
    module = importlib.import_module(f"trioecho.examples.{name}")
    port = free_port()
    monkeypatch.setattr(module, "PORT", port)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(module.main)
            await once_there(port)
            yield f"ws://{HERE}:{port}/"
            nursery.cancel_scope.cancel()


def trioecho_example(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trioecho", "example", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_command_lists_them_all_and_shows_one() -> None:
    assert example_names() == NAMES
    listed = trioecho_example()
    assert [line.split()[0] for line in listed.stdout.splitlines()] == NAMES
    assert all(len(line) <= 120 for line in listed.stdout.splitlines())
    assert trioecho_example("--show", "chat").stdout == (FOLDER / "chat.py").read_text()
    wrong = trioecho_example("chess")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("trioecho: ") and "there is no example 'chess'" in wrong.stderr


def test_the_two_that_were_impossible_are_short() -> None:
    for name in ("chat", "tokens"):
        assert len((FOLDER / f"{name}.py").read_text().splitlines()) < 40


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "LookupError"])
def test_ctrl_c_comes_out_of_a_nursery_as_itself(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    program = f"""
import trio
async def main():
    async with trio.open_nursery():
        raise {error}
trio.run(main)
"""
    (tmp_path / "interrupted_program.py").write_text(program)
    with pytest.raises(KeyboardInterrupt if error == "KeyboardInterrupt" else ExceptionGroup):
        run_program("interrupted_program")


async def test_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("bot", monkeypatch) as url, open_client(url) as one, open_client(url) as other:
        await one.send("!who")
        assert await other.receive() == "!who"
        assert str(await one.receive()).startswith("2 are here. You are 127.0.0.1:")
        await one.send("!time")
        assert [str(await other.receive()) for _ in range(2)][1].startswith("It is ")
        assert str(await one.receive()).startswith("It is ")


async def test_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        running("bridge", monkeypatch) as url,
        open_client(f"{url}red") as red,
        open_client(f"{url}blue") as blue,
    ):
        await red.send("hello")
        assert await blue.receive() == "[/red] hello"
        await blue.send("hi")
        assert await red.receive() == "[/blue] hi"


async def test_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("chat", monkeypatch) as url:
        with pytest.raises(Rejected, match="Say who you are"):
            async with open_client(url):
                pass
        async with open_client(f"{url}?name=ada") as ada, open_client(f"{url}?name=bo") as bo:
            assert [await ada.receive(), await bo.receive()] == ["Welcome, ada!", "Welcome, bo!"]
            await bo.send("hello")
            assert await ada.receive() == "bo: hello"


async def test_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("plot", monkeypatch) as url:
        page = await fetch(url, "/plot")
        assert page.headers["content-type"].startswith("text/html") and "/sensor" in page.text
        async with open_client(f"{url}sensor?last=100") as client:
            assert all([-2 < float(await client.receive()) < 2 for _ in range(3)])


async def test_rpc(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("rpc", monkeypatch) as url, open_client(f"{url}rpc") as client:
        answers: list[dict[str, Any]] = []
        for call in ('{"id": 1, "call": "add", "with": [2, 3]}', '{"id": 2, "call": "no"}', "nonsense"):
            await client.send(call)
            answers.append(json.loads(await client.receive()))
        assert answers[0] == {"id": 1, "result": 5}
        assert all("error" in answer for answer in answers[1:])


async def test_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("simulation", monkeypatch) as url, open_client(f"{url}ball") as client:
        before = json.loads(await client.receive())["height"]
        await client.send("kick")
        heights = [json.loads(await client.receive())["height"] for _ in range(6)]
        assert heights[-1] > before  # it was falling, and has been kicked


async def test_ticker(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running("ticker", monkeypatch) as url, open_client(f"{url}prices") as client:
        assert all([json.loads(await client.receive())["price"] > 0 for _ in range(3)])


async def test_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    from trioecho.examples.tokens import token_for

    async with running("tokens", monkeypatch) as url:
        for wrong in ("ada.0000", token_for("ada")[:-1], token_for("bo").replace("bo", "ada")):
            with pytest.raises(Rejected, match="A token is needed"):
                async with open_client(url, token=wrong):
                    pass
        options: Options = {"token": token_for("ada")}
        async with open_client(url, **options) as one, open_client(url, token=token_for("guest")) as guest:
            await one.send("hello")
            assert await guest.receive() == "hello"


def test_guest() -> None:
    """Both loops are at work: asyncio publishes, and a client that trio serves hears it."""
    port = free_port()
    heard: list[str | bytes] = []

    async def listen() -> None:
        with trio.fail_after(20):
            await once_there(port)
            async with open_client(f"ws://{HERE}:{port}/") as client:
                heard.append(await client.receive())

    # It goes on until the process ends, so it is run in one of its own.
    code = (
        f"import asyncio\nfrom trioecho.examples import guest\nguest.PORT = {port}\nasyncio.run(guest.main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    try:
        trio.run(listen)
    finally:
        process.terminate()
        process.wait(20)
    assert str(heard[0]).startswith("asyncio says ")
