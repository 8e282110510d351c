"""The Autobahn|Testsuite: its environment, installed once, and its processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

__all__ = ["DEFAULT", "Suite", "SuiteError"]

DEFAULT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trioecho-conformance"

VIRTUALENV = "virtualenv==20.21.1"
"""Of the last series that makes environments for Python 2.7."""

PACKAGES = ["autobahntestsuite==25.10.1", "wsaccel==0.6.6", "ujson==2.0.3"]
"""The suite, what makes its masking and its UTF-8 quick, and the last ujson for Python 2.7."""

INSTALL_LIMIT = 1200
"""Seconds that one step of the installation may take: some packages are compiled."""


class SuiteError(Exception):
    """The suite cannot be had, or did not run; the text says why in a sentence."""


class Suite:
    """The suite's command."""

    def __init__(self, command: Path) -> None:
        self._command = command

    @classmethod
    def at(cls, home: Path) -> Suite | None:
        """Return the suite that is installed under ``home``, if it is."""
        return cls(_command(home)) if _mark(home).exists() else None

    @classmethod
    def installed(cls, home: Path, python27: str | None = None) -> Suite:
        """
        Return the suite under ``home``, installed first if it isn't.

        Raises:
            SuiteError: there is no Python 2.7, or a step of the installation failed.

        """
        found = cls.at(home)
        if found is not None:
            return found
        python = _find_python27(python27)
        try:
            home.mkdir(parents=True, exist_ok=True)
            lock = (home / "lock").open("w")
        except OSError as error:
            raise SuiteError(f"it cannot be installed in {home}: {error.strerror}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # somebody else may be installing it
            if not _mark(home).exists():
                _install(home, python)
        return cls(_command(home))

    @asynccontextmanager
    async def running(self, mode: str, spec: dict[str, Any], out: Path) -> AsyncIterator[trio.Process]:
        """Run it in a mode for as long as the block lasts; what it says goes to ``out/wstest.log``."""
        (out / "spec.json").write_text(json.dumps(spec))
        command = [str(self._command), "--mode", mode, "--spec", str(out / "spec.json"), "--webport", "0"]
        with (out / "wstest.log").open("wb") as log:
            process = await trio.lowlevel.open_process(command, cwd=out, stdout=log, stderr=log)
            try:
                yield process
            finally:
                if process.returncode is None:
                    process.terminate()
                with trio.CancelScope(shield=True):
                    with trio.move_on_after(5):
                        await process.wait()
                    if process.returncode is None:
                        process.kill()
                    await process.wait()

    @staticmethod
    def said(out: Path) -> str:
        """Return the last line that it said, for a sentence about what went wrong."""
        lines = (out / "wstest.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing"


def _command(home: Path) -> Path:
    return home / "python2.7" / "bin" / "wstest"


def _mark(home: Path) -> Path:
    """Return the file that says that the installation came to its end."""
    return home / "python2.7" / "complete"


def _find_python27(named: str | None) -> str:
    """Return a Python 2.7 that runs: the one that is ``named``, or any."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [shutil.which("python2.7"), *map(str, (root / "versions").glob("2.7.*/bin/python2.7"))]
    # Those that are there may not run: pyenv's shims don't.
    for candidate in [named] if named else filter(None, found):
        try:
            done = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0 and "Python 2.7" in done.stdout + done.stderr:
            return candidate
    there = f"{named} is none" if named else "there is none"
    raise SuiteError(
        f"the Autobahn|Testsuite needs Python 2.7, and {there}: get one (pyenv install 2.7.18) and name it"
        " with --python27"
    )


def _install(home: Path, python27: str) -> None:
    """Make the environment: virtualenv in one of our own Python, and the suite in one of the old."""
    maker, suite = home / "maker", home / "python2.7"
    print(f"installing the Autobahn|Testsuite into {home}, which takes some minutes", file=sys.stderr)
    venv.create(maker, with_pip=True, clear=True)
    _run(maker / "bin" / "pip", "install", "--quiet", VIRTUALENV)
    _run(maker / "bin" / "virtualenv", "--quiet", "--clear", "--python", python27, suite)
    _run(suite / "bin" / "pip", "install", "--quiet", *PACKAGES)
    _run(_command(home), "--autobahnversion")
    _mark(home).touch()


def _run(*command: str | Path) -> None:
    name = Path(command[0]).name
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_LIMIT, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise SuiteError(f"{name} took more than {INSTALL_LIMIT} s") from None
    except OSError as error:
        raise SuiteError(f"{name} cannot be run: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise SuiteError(f"{name} failed: {said[-1]}")
