"""``trioecho publish`` says in one sentence why it could not; what it publishes is tried with the engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("hiredis", reason="needs hiredis: pip install 'trioecho[redis]'")


def publish(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trioecho", "publish", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_engine_that_is_not_there_is_named_with_the_reason(tmp_path: Path) -> None:
    done = publish("--engine", f"unix:{tmp_path}/nobody", "--engine-patience", "0.2", "/news", "hello")
    lost, sentence = done.stderr.splitlines()
    assert done.returncode == 1 and not done.stdout
    assert lost.startswith("engine-lost ")
    why = "cannot connect: no such file or directory"
    assert sentence == f"trioecho: the engine cannot be used: unix:{tmp_path}/nobody: {why}"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("/news", "hello"), "--engine is needed: the one that the servers name"),
        (("--engine", "http://x", "/news", "hello"), "--engine must begin with redis://"),
        (("--engine", "unix:/nowhere", "news", "hello"), "begin"),
    ],
)
def test_what_was_wrong_is_said_in_one_sentence(arguments: tuple[str, ...], sentence: str) -> None:
    done = publish(*arguments)
    assert done.returncode in (1, 2) and not done.stdout
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr
