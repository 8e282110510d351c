"""The program that measures shared rooms: its rows, done small, with real servers and a real engine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.markdown import ROOT

PROGRAM = Path(__file__).with_name("engine.py")

OPTIONS = ["--rounds", "1", "--duration", "0.5", "--warmup", "0.2"]


def measured(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server")
def test_rows_are_measured_and_nothing_is_lost() -> None:
    done = measured(*OPTIONS, "--rows", "lone", "rooms", "--rooms", "40")
    assert (done.returncode, done.stderr) == (0, "")
    assert "left out" not in done.stdout
    for figure in (
        "added, p99 (ms): ",
        "messages a second: ",
        "engine, of a core: ",
    ):
        assert figure in done.stdout


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--duration", "0"], ["--rooms", "7"]])
def test_what_it_cannot_do_it_says_in_a_sentence(arguments: list[str]) -> None:
    done = measured(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "can be measured" in done.stderr or "four divides" in done.stderr
