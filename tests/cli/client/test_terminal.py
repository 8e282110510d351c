"""`trioecho client` at a pseudo terminal: typing while messages arrive, commands, history, leaving."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from helpers.other_servers import ENVIRONMENT, command, websockets_server
from helpers.pty_terminal import DEADLINE, Person
from websockets.exceptions import ConnectionClosedError
from websockets.sync.server import ServerConnection

from trioecho.protocol.escape import escape

CTRL_C, CTRL_D, CTRL_R, CTRL_Z, UP, ENTER = "\x03", "\x04", "\x12", "\x1a", "\x1b[A", "\r"
PASTE = "\x1b[200~{}\x1b[201~"


class Room:
    """A server that keeps what it gets and says what a test wants."""

    def __init__(self) -> None:
        self.got: list[str | bytes] = []
        self.paths: list[str] = []
        self.codes: list[int | None] = []
        self.connection: ServerConnection | None = None
        self.arrived = threading.Condition()

    def handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.paths.append(connection.request.path)
        with self.arrived:
            self.connection = connection
            self.arrived.notify_all()
        with suppress(ConnectionClosedError):
            for message in connection:
                with self.arrived:
                    self.got.append(message)
                    self.arrived.notify_all()
        self.codes.append(connection.close_code)

    def wait_for(self, *messages: str | bytes) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.got == list(messages), DEADLINE), self.got

    def client(self) -> ServerConnection:
        """The connection, once there is one: the client's prompt may be there first."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.connection is not None, DEADLINE)
        assert self.connection is not None
        return self.connection

    def say(self, message: str | bytes) -> None:
        self.client().send(message)


@pytest.fixture
def room() -> Iterator[tuple[Room, str]]:
    room = Room()
    with websockets_server(room.handle) as url:
        yield room, url


@pytest.fixture
def person(room: tuple[Room, str], tmp_path: Path) -> Iterator[Person]:
    with Person(room[1], tmp_path) as person:
        person.see("^>")
        yield person


def test_typing_while_messages_arrive(person: Person, room: tuple[Room, str]) -> None:
    person.type("half a lin")
    person.see("half a lin")
    room[0].say("meanwhile")
    room[0].say("twice\nover")
    room[0].say(b"\x00\xff")
    person.see(
        r"^connected to .*\n\d\d:\d\d:\d\d ◂ meanwhile\n"
        r"\S+ ◂ twice\n +over\n\S+ ◂ \[2 bytes\] 00 ff\n> half a lin$"
    )
    person.resize(30, 60)
    person.type("e" + ENTER)
    room[0].wait_for("half a line")
    person.see(r"▸ half a line$")
    person.see(r"in 3 · out 1")
    person.type(CTRL_D)
    assert person.leave() == 0
    assert room[0].codes == [1000]


def test_escape_sequences_of_a_server_do_nothing(person: Person, room: tuple[Room, str]) -> None:
    room[0].say("\x1b[2Jcleared\x07\x9b31m")
    person.see(re.escape(r"\x1b[2Jcleared\x07\x9b31m"))
    person.type(CTRL_C)
    assert person.leave() == 0
    assert escape("tab\tnewline\nümläut") == "tab\tnewline\nümläut"


def test_a_paste_of_several_lines_is_one_message(person: Person, room: tuple[Room, str]) -> None:
    person.type(PASTE.format("one\ntwo") + ENTER)
    room[0].wait_for("one\ntwo")
    person.type("/quit" + ENTER)
    assert person.leave() == 0


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name leaves room on the line for what is said of a file in it."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_commands(person: Person, room: tuple[Room, str], short: Path) -> None:
    (short / "file").write_bytes(b"\x01\x02")
    person.type("/help" + ENTER)
    person.see("/binary FILE")
    person.type("/ping" + ENTER)
    person.see(r"^\d+\.\d\d ms$")
    person.type(f"/binary {short}/file{ENTER}")
    person.type(f"/binary {short}/none{ENTER}")
    person.see("cannot be read: no such file or directory")
    person.type("//slash" + ENTER)
    room[0].wait_for(b"\x01\x02", "/slash")
    person.type("/close 7 x" + ENTER)
    person.see("a close code is 1000, or from 3000 to 4999")
    person.type("/close 4000 for a reason" + ENTER)
    assert person.leave() == 0
    assert room[0].codes == [4000]


def test_another_room(person: Person, room: tuple[Room, str]) -> None:
    person.type("/room a b" + ENTER)
    person.see(r"connected to .*/a%20b\n>")
    person.type(CTRL_D)
    assert person.leave() == 0
    assert room[0].paths == ["/", "/a%20b"]


def test_history_is_kept_and_can_be_searched(room: tuple[Room, str], tmp_path: Path) -> None:
    for typed, enter in (("find me", ENTER), (UP, ENTER), (CTRL_R + "ind", ENTER + ENTER)):
        with Person(room[1], tmp_path) as person:
            person.see("^>")
            person.type(typed)
            person.see("find me$")
            person.type(enter)
            person.see("▸ find me$")
            person.type(CTRL_D)
            assert person.leave() == 0
    assert room[0].got == ["find me"] * 3
    assert (tmp_path / "trioecho" / "history").stat().st_mode & 0o777 == 0o600


def test_the_server_ends_it(person: Person, room: tuple[Room, str]) -> None:
    person.type("unfinished")
    person.see("unfinished")
    room[0].client().close(1011, "broken")
    person.see(r"1011 \(internal error\), broken")
    assert person.leave() == 1


def test_a_signal_restores_the_terminal(person: Person, room: tuple[Room, str]) -> None:
    person.process.send_signal(signal.SIGTERM)
    assert person.leave() == 0


def test_ctrl_z_suspends_and_fg_comes_back(room: tuple[Room, str], tmp_path: Path) -> None:
    """In a shell, as only there somebody takes over the terminal; what was typed is still there."""
    with Person(room[1], tmp_path, shell=True) as person:
        person.see("^>")
        person.type("half a lin")
        person.see("^> half a lin")
        person.type(CTRL_Z)
        person.see("Stopped")
        person.see(r"^\$$")
        person.type("echo $((6 * 7)) && stty -a" + ENTER)
        person.see("^42$")
        person.see("[^-]icanon")
        person.see("[^-]echo ")
        room[0].say("meanwhile")
        person.type("clear; fg" + ENTER)
        person.see("◂ meanwhile")
        person.see(r"^> half a lin$")
        person.type("e" + ENTER)
        room[0].wait_for("half a line")
        person.type(CTRL_D)
        person.see(r"^\$$")
        person.type("exit" + ENTER)
        person.leave()


def test_the_status_line_says_that_it_is_away(room: tuple[Room, str], tmp_path: Path) -> None:
    options = ["--reconnect", "--reconnect-delay=0.2", "--reconnect-max-delay=0.2"]
    with websockets_server(room[0].handle) as url:
        port = int(url.rsplit(":", 1)[1].rstrip("/"))
        person = Person(url, tmp_path, *options)
        person.see("^>")
        person.see(r"^ ws://.* · in 0 · out 0 · .* ms · /help$")
    with person:
        person.see(r"^ ws://.* · away for \d\.\d s, attempt \d+ · in 0 · out 0 · /help$")
        person.type("/ping" + ENTER)
        person.see("closed the connection: 1001")
        with websockets_server(room[0].handle, port=port):
            person.see(r"^reconnected to ws://.* after \d")
            person.see(r"^ ws://.* · in 0 · out 0 · ")
            person.type("back" + ENTER)
            room[0].wait_for("back")
        person.see("away for ")
        person.type("typed while away" + ENTER)
        person.type(CTRL_D)
        assert person.leave() == 0


def test_no_prompt_where_the_output_is_a_pipe(room: tuple[Room, str]) -> None:
    """With a terminal for input alone, lines are read as the terminal gives them, and Ctrl-D ends it."""
    master, slave = pty.openpty()
    client: subprocess.Popen[Any] = subprocess.Popen(
        command("client", room[1]), stdin=slave, stdout=subprocess.PIPE, env=ENVIRONMENT | {"TERM": "xterm"}
    )
    os.write(master, b"a line\n")
    room[0].wait_for("a line")
    room[0].say("an answer")
    assert client.stdout is not None
    assert client.stdout.readline() == b"an answer\n"
    os.write(master, CTRL_D.encode())
    assert client.wait(timeout=DEADLINE) == 0
    assert client.stdout.read() == b""
    client.stdout.close()
    os.close(master)
    os.close(slave)
