"""Processes of the programs among the tests, each on a core of its own as far as there are several."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from helpers.server_process import environment

__all__ = ["CORES", "line", "on_core", "process"]

CORES = sorted(os.sched_getaffinity(0))
"""The server has the first, everybody else the last; with one core they share it."""

TESTS = Path(__file__).parents[1]


@contextmanager
def on_core(
    command: Sequence[str], core: int, log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a command on this core, with what it says on standard error in ``log``, and kill it at the end."""
    variables = environment()
    running = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**variables, "PYTHONPATH": f"{TESTS}{os.pathsep}{variables['PYTHONPATH']}"},
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


@contextmanager
def process(module: str, *arguments: str, through: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """Run a module of the tests on the core that is not the server's, through another command if given."""
    with on_core([*through, sys.executable, "-m", module, *arguments], CORES[-1]) as running:
        yield running


def line(running: subprocess.Popen[str], limit: float) -> str:
    """Wait for a line that it prints; nothing if there is none within ``limit`` seconds, or it has ended."""
    assert running.stdout is not None
    ready, _, _ = select.select([running.stdout], [], [], limit)
    return running.stdout.readline() if ready else ""
