"""Somebody at a pseudo terminal with the client in it: types, and sees what a terminal would show."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pyte
from helpers.other_servers import ENVIRONMENT, command

__all__ = ["DEADLINE", "Person", "watch"]

DEADLINE = 10.0
"""How long to look for something (seconds) before it counts as missing."""


class AnsweringScreen(pyte.Screen):
    """A terminal that says where its cursor is when it is asked, as real ones do."""

    def __init__(self, answer: Callable[[str], None]) -> None:
        super().__init__(100, 24)
        self.answer = answer

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Person:
    """
    Somebody at a terminal with the client in it, or another command that takes a URL.

    With ``shell``, it is a job of a shell.
    """

    def __init__(
        self, url: str, home: Path, *arguments: str, shell: bool = False, name: str = "client"
    ) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.screen = AnsweringScreen(self.type)
        self.stream = pyte.ByteStream(self.screen)
        client = command(name, url, *arguments)
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "--noediting", "-i"] if shell else client,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=self._take_terminal if shell or name != "client" else None,
            # The terminal itself says how large it is.
            env={name: value for name, value in ENVIRONMENT.items() if name not in ("COLUMNS", "LINES")}
            | {"TERM": "xterm", "XDG_STATE_HOME": str(home), "NO_COLOR": "1"}
            | {"PS1": "$ ", "LC_ALL": "C.UTF-8"},
        )
        if shell:
            self.see(r"^\$")
            self.type(shlex.join(client) + "\n")

    def _take_terminal(self) -> None:
        """Make the terminal the one that controls the session: jobs can be stopped only then."""
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def resize(self, rows: int, columns: int) -> None:
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def see(self, pattern: str) -> None:
        """Wait until a pattern stands on the screen, as a terminal would show it."""
        deadline = time.monotonic() + DEADLINE
        while not re.search(pattern, self.shown(), re.MULTILINE):
            assert time.monotonic() < deadline, f"no {pattern!r} on\n{self.shown()}"
            self.look()

    def shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def look(self) -> None:
        """Take what is new on the terminal, waiting a little for it."""
        if select.select([self.master], [], [], 0.05)[0]:
            self.stream.feed(os.read(self.master, 65536))

    def leave(self) -> int:
        """Wait for the client's end; the terminal must be as it was. Returns the exit code."""
        deadline = time.monotonic() + DEADLINE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still there:\n{self.shown()}"
            self.look()
        assert termios.tcgetattr(self.slave) == self.before
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def watch(home: Path, first: str, *more: str, sees: str) -> None:
    """Run ``trioecho top`` in a terminal with these arguments, until something is seen."""
    with Person(first, home, *more, name="top") as person:
        person.see(sees)
        person.type("q")
        assert person.leave() == 0
