"""Where hiredis is not installed, each command that is given an engine says what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

ENGINE = ("--engine", "redis://127.0.0.1:1/0")

HIDDEN = """\
import sys

sys.modules["hiredis"] = None  # so Python finds no such module

from trioecho.cli import main

main()
"""


@pytest.mark.parametrize(
    "arguments", [("serve", "--port", "0", *ENGINE), ("publish", *ENGINE, "/news", "hello"), ("top", *ENGINE)]
)
def test_the_extra_that_is_missing_is_named(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-c", HIDDEN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == "trioecho: --engine needs hiredis: pip install 'trioecho[redis]'\n"
