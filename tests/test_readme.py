"""What the README says is true: its commands and its example are run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the README's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def commands() -> list[str]:
    return [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]


def test_the_embedding_example_runs_and_prints_both_messages() -> None:
    example = next(block for block in blocks("python") if "trioecho.serve" in block)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("from a client\nfrom the application\n", "")


def test_the_check_runs_the_readmes_test_command() -> None:
    (command,) = [command for command in commands() if "pytest" in command]
    assert command in (Path(__file__).parent.parent / ".ci" / "run").read_text()
