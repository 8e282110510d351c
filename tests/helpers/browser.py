"""
A real browser for the tests: Chromium without a window, driven by Playwright.

Its tests are not async, so the server they look at is a process of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from helpers.server_process import environment

__all__ = ["ServerProcess", "chromium", "free_port", "node_module"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOW = "needs Chromium and Playwright: apt-get install chromium, pip install playwright"

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Without a sandbox it runs as root, as in a container; without the rest it looks for hosts outside."""


def chromium() -> Iterator[object]:
    """Start the browser, or skip the tests that need it and say what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason=HOW)
    if CHROMIUM is None:
        pytest.skip(HOW)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def node_module(path: str) -> str:
    """Return the text of a file of a module of Node's, or skip the test and say how to get it."""
    for folder in os.environ.get("NODE_PATH", "").split(os.pathsep):
        if folder and (file := Path(folder, path)).exists():
            return file.read_text(encoding="utf-8")
    pytest.skip(f"needs {path.partition('/')[0]}: npm install it, and name its node_modules in NODE_PATH")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


class ServerProcess:
    """A server process on a port that stays the same when it is started again."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "trioecho", "serve", "--port", str(self.port), *self._options]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())
        assert self._process.stderr is not None
        assert b"listening" in self._process.stderr.readline()

    def stop(self) -> str:
        """Shut it down, and return what it has logged since it listened."""
        self._process.send_signal(signal.SIGTERM)
        _, log = self._process.communicate(timeout=20)
        assert self._process.returncode == 0 and b"Traceback" not in log
        return str(log.decode())
