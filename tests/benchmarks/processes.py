"""Processes that are measured, or measure: started, waited for until they listen, and ended."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from homes import NotToBeHad

__all__ = ["REPOSITORY", "free_port", "listening", "settle"]

REPOSITORY = Path(__file__).resolve().parent.parent.parent

START_LIMIT = 30.0
"""Seconds in which a process must be listening."""

STOP_LIMIT = 10.0
"""Seconds in which a process may end by itself once it is asked to."""


@contextlib.contextmanager
def listening(
    command: list[str], port: int, environment: Mapping[str, str], *, core: int | None = None
) -> Iterator[int]:
    """
    Run a process that listens on a port, and give its number, for as long as the block lasts.

    Raises:
        NotToBeHad: it ends or does not listen; with the last line of what it said.

    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=environment,
            stdout=said,
            stderr=said,
            preexec_fn=lambda: settle(core),
        )
        try:
            if not _listens(process, port):
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                reason = lines[-1] if lines else "it does not listen, and said nothing"
                raise NotToBeHad(f"{Path(command[0]).name} did not start: {reason}")
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def settle(core: int | None = None) -> None:
    """In a new process: have as many open files as may be, and stay on this core if one is given."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_LIMIT
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            time.sleep(0.05)
    return False
