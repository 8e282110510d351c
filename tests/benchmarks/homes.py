"""Where the peers live: environments made from PyPI and npm, outside the repository, once."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

# The tests' helpers, as pytest finds them too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.json_messages import messages

__all__ = ["DEFAULT", "Homes", "NotToBeHad"]

DEFAULT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "trioecho-bench"

CORPUS_SIZE, CORPUS_COUNT = 560, 4000
"""Bytes of a message, which the load generator cuts to its size, and how many there are."""

INSTALL_LIMIT = 600
"""Seconds that one installation may take."""


class NotToBeHad(Exception):
    """A peer cannot be compared on this machine; the text says why."""


class Homes:
    """The environments under one folder; what is already there is used as it is."""

    def __init__(self, folder: Path) -> None:
        self.python = folder / "python" / "bin" / "python"
        self.modules = folder / "node" / "node_modules"
        self._folder = folder
        self._versions: dict[str, str] | None = None

    def certificate(self) -> tuple[Path, Path]:
        """
        A server's certificate with its key, for 127.0.0.1, and the authority that vouches for it.

        Raises:
            NotToBeHad: the package that makes it cannot be had.

        """
        server, authority = self._folder / "server.pem", self._folder / "authority.pem"
        if not server.exists():
            self.install_python("trustme")
            program = (
                "import sys, trustme\n"
                "authority = trustme.CA()\n"
                "authority.cert_pem.write_to_path(sys.argv[2])\n"
                "issued = authority.issue_cert('127.0.0.1', 'localhost')\n"
                "issued.private_key_and_cert_chain_pem.write_to_path(sys.argv[1])\n"
            )
            _run([str(self.python), "-c", program, str(server), str(authority)])
        return server, authority

    def corpus(self, kind: str) -> Path:
        """Return a file of JSON messages of this kind, one a line, the same ones each time."""
        path = self._folder / f"{kind}.jsonl"
        path.write_text("\n".join(messages(kind, CORPUS_SIZE, CORPUS_COUNT)))
        return path

    def install_python(self, *packages: str) -> None:
        """Have these packages of PyPI; raises ``NotToBeHad`` if they cannot be."""
        if not self.python.exists():
            venv.create(self.python.parent.parent, with_pip=True)
        if missing := [package for package in packages if package not in self.versions()]:
            _run([str(self.python), "-m", "pip", "install", "--quiet", *missing])
            self._versions = None

    def install_node(self, *packages: str) -> None:
        """Have these packages of npm; raises ``NotToBeHad`` if they cannot be."""
        npm = program("npm")
        missing = [package for package in packages if not (self.modules / package).exists()]
        if missing:
            self.modules.parent.mkdir(parents=True, exist_ok=True)
            # No scripts: what is wanted stands in the packages, and a script would fetch from elsewhere.
            prefix = str(self.modules.parent)
            _run([npm, "install", "--silent", "--ignore-scripts", "--prefix", prefix, *missing])

    def bun(self) -> Path:
        """The executable in npm's ``bun``; raises ``NotToBeHad`` if none of its builds runs here."""
        self.install_node("bun")
        for found in sorted((self.modules / "@oven").glob("*/bin/bun")):
            if subprocess.run([found, "--version"], capture_output=True).returncode == 0:
                return found
        raise NotToBeHad("no build of it runs on this machine")

    def versions(self) -> dict[str, str]:
        """The installed packages of PyPI with their versions."""
        if self._versions is None:
            listed = _run([str(self.python), "-m", "pip", "list", "--format", "json"])
            self._versions = {entry["name"].lower(): entry["version"] for entry in json.loads(listed)}
        return self._versions

    def node_version(self, package: str) -> str:
        """The version of an installed package of npm."""
        return str(json.loads((self.modules / package / "package.json").read_text())["version"])


def program(name: str) -> str:
    """The path of a program on this machine; raises ``NotToBeHad`` if it is not there."""
    found = shutil.which(name)
    if not found:
        raise NotToBeHad(f"{name} is not installed")
    return found


def _run(command: list[str]) -> str:
    sys.stderr.write(f"  {' '.join(command)[:150]}\n")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT)
    except subprocess.TimeoutExpired:
        raise NotToBeHad(f"{Path(command[0]).name} took more than {INSTALL_LIMIT} s") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
        raise NotToBeHad(f"{Path(command[0]).name} failed: {said[-1]}")
    return done.stdout
