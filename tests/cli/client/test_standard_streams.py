"""Standard streams that are closed, full or none: one sentence and exit code 1, never a traceback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.other_servers import ENVIRONMENT, command, websockets_server
from websockets.sync.server import ServerConnection


@pytest.fixture(scope="module")
def greeter() -> Iterator[str]:
    def greet(connection: ServerConnection) -> None:
        connection.send("hello")
        for _ in connection:
            pass

    with websockets_server(greet) as url:
        yield url


def run(redirection: str, *arguments: str) -> tuple[int, str]:
    """Run a command in a shell that redirects it: exit code, and what it says."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command(*arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        timeout=20,
        check=False,
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize(
    ("redirection", "name", "sentence"),
    [
        ("<&-", "client", "standard input cannot be read: bad file descriptor"),
        ("<&-", "send", "standard input cannot be read: bad file descriptor"),
        (">&-", "listen", "standard output cannot be written: bad file descriptor"),
        (">/dev/full", "listen", "standard output cannot be written: no space left on device"),
    ],
)
def test_a_stream_that_cannot_be_used_is_told(
    greeter: str, redirection: str, name: str, sentence: str
) -> None:
    if redirection == ">/dev/full" and not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    code, said = run(redirection, name, greeter)
    assert code == 1
    assert said.removeprefix(f"connected to {greeter}\n") == f"trioecho: {sentence}\n"


def test_who_hears_no_notices_gets_the_exit_code(greeter: str) -> None:
    assert run("2>&-", "send", greeter, "hello") == (0, "")
    assert run("2>&-", "send", "ws://nothing.invalid/", "hello") == (1, "")


def test_what_is_not_used_may_be_closed(greeter: str) -> None:
    assert run("<&- >&-", "send", greeter, "hello") == (0, "")
