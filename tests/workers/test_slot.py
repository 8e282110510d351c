"""A slot: what becomes of its worker when the system can't start another, and when all are to end."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from helpers.files import without_files
from helpers.log import LogBook
from helpers.server import kept_log

from trioecho.workers.handover import VARIABLE
from trioecho.workers.slot import Slot, WorkerFailed

WORKER = f"""
import json, os
line = json.loads(os.environ[{VARIABLE!r}])[0]
os.write(line, b"r")
os.read(line, 1)
"""
"""A worker that is ready, and does nothing until its supervisor is gone."""


class Running(Slot):
    """A slot, and its log."""

    log: LogBook

    @property
    def pid(self) -> int:
        """The process of its worker."""
        assert self._process is not None
        return self._process.pid


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    """Run a slot until the block ends, and then as long as its worker needs to end."""
    log, path = LogBook(), folder / "metrics.sock"
    with (
        kept_log(log),
        socket.socket() as own,
        socket.socket(socket.AF_UNIX) as metrics,
        trio.fail_after(30),
    ):
        metrics.bind(os.fspath(path))
        slot = Running(0, [sys.executable, "-c", WORKER], [own], metrics, [path], {})
        slot.log = log
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slot.run)
            await slot.ready.wait()
            yield slot
            slot.end(signal.SIGTERM)


async def test_a_worker_that_cannot_be_started_again_just_now_is_tried_later(tmp_path: Path) -> None:
    async with running(tmp_path) as slot:
        first = slot.pid
        with without_files():
            os.kill(first, signal.SIGKILL)
            failed = await slot.log.event("worker-not-started")
            assert failed["reason"] == "too many open files" and failed["again_in"] == 1.0
        while slot.pid == first:  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_a_worker_that_cannot_be_replaced_just_now_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as slot:
        first = slot.pid
        with without_files():
            await slot.replace()
        assert slot.log.find("worker-not-replaced", reason="too many open files")
        assert slot.pid == first
        await slot.replace()
        assert slot.pid != first


async def test_a_command_that_cannot_be_run_is_a_failure_with_one_line(tmp_path: Path) -> None:
    log = LogBook()
    with kept_log(log), socket.socket(socket.AF_UNIX) as metrics:
        slot = Slot(0, [str(tmp_path / "none")], [], metrics, [], {})
        with pytest.raises(WorkerFailed):
            await slot.run()
    assert [entry["reason"] for entry in log.find("worker-not-started")] == ["no such file or directory"]


async def test_who_is_told_to_end_in_a_pause_starts_no_worker(tmp_path: Path) -> None:
    async with running(tmp_path) as slot:
        os.kill(first := slot.pid, signal.SIGKILL)
        while slot.pid == first:  # noqa: ASYNC110
            await trio.sleep(0.01)
        os.kill(second := slot.pid, signal.SIGKILL)
        await slot.log.event("worker-died", again_in=1.0)
    assert slot.pid == second
