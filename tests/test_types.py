"""What trioecho is written into type-checks: every program of the README, the manual and the examples."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.markdown import EXAMPLES, ROOT

from trioecho.cli.example import example_names

HYPERCORN = "embedding: A hub under Hypercorn"
"""In pyright's strict mode the type of Hypercorn's own ``serve`` is not known in every part."""


def programs(folder: Path) -> list[Path]:
    """Write each program as a user's own file, far from the package's configuration."""
    texts = {
        f"{name}_example": (ROOT / "trioecho" / "examples" / f"{name}.py").read_text()
        for name in example_names()
    }
    for number, example in enumerate(EXAMPLES):
        if example.language == "python":
            pardon = "# pyright: reportUnknownVariableType=false\n" * str(example).startswith(HYPERCORN)
            texts[f"{example.page.replace('-', '_')}_{number}"] = pardon + example.code
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return [folder / f"{name}.py" for name in texts]


def checked(*command: str, folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_in_strict_mode(tmp_path: Path) -> None:
    files = programs(tmp_path)
    options = ["--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    checked(sys.executable, "-m", "mypy", *options, *map(str, files), folder=ROOT)


@pytest.mark.parametrize("mode", ["standard", "strict"])
def test_pyright(mode: str, tmp_path: Path) -> None:
    pyright = shutil.which("pyright")
    if pyright is None:
        pytest.skip("needs pyright: npm install --global pyright, or pip install 'pyright[nodejs]'")
    programs(tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": mode}))
    checked(pyright, "--pythonpath", sys.executable, "--warnings", folder=tmp_path)
