"""``trioecho top`` as somebody at a terminal has it, and a script."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from helpers import pty_terminal
from helpers.browser import ServerProcess, free_port
from helpers.other_servers import ENVIRONMENT, command
from helpers.pty_terminal import Person
from websockets.sync.client import connect

PATIENCE = 30.0


class Watcher(Person):
    """Somebody at a terminal with ``top`` in it; ``written`` is all that the terminal was told."""

    def __init__(self, url: str, home: Path, *arguments: str) -> None:
        self.written = b""
        super().__init__(url, home, *arguments, name="top")

    def look(self) -> None:
        """Take what is new on the terminal."""
        if select.select([self.master], [], [], 0.05)[0]:
            data = os.read(self.master, 65536)
            self.written += data
            self.stream.feed(data)

    def leave(self) -> int:
        """Wait for the end, which must leave the terminal as it was: its screen, its cursor, its modes."""
        code = super().leave()
        while select.select([self.master], [], [], 0.2)[0]:
            self.look()
        for on, off in ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h")):
            assert self.written.rindex(on) < self.written.rindex(off)
        assert b"Traceback" not in self.written
        return code


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pty_terminal, "DEADLINE", PATIENCE)


@contextmanager
def server(*options: str) -> Iterator[tuple[ServerProcess, str]]:
    """A server, and where it is watched."""
    monitoring = f"127.0.0.1:{free_port()}"
    server = ServerProcess("--metrics-address", monitoring, *options)
    yield server, f"http://{monitoring}/metrics"
    server.stop()


def test_it_shows_rooms_and_rates_as_they_are_now(tmp_path: Path) -> None:
    with (
        server() as (there, url),
        Watcher(url, tmp_path) as person,
        connect(f"ws://{there.address}/large", max_queue=None) as one,
        connect(f"ws://{there.address}/large", max_queue=None),
        connect(f"ws://{there.address}/small", max_queue=None),
    ):
        person.resize(24, 80)
        person.see(r"^trioecho top  http://127\.0\.0\.1:\d+/status +\d\d:\d\d:\d\d$")
        person.see(r"^1 server answers$")
        person.see(r"^/large +2 +0\n/small +1 +0$")
        person.see(r"^clients 3 \(0 by events\)  rooms 2  CPU \d+%$")
        deadline = time.monotonic() + PATIENCE
        while not re.search(r"^messages in +[1-9][\d.]*/s .*█$", person.shown(), re.M):
            one.send("x")
            person.look()
            assert time.monotonic() < deadline, person.shown()
        person.type("\x03")
        assert person.leave() == 0


@pytest.mark.parametrize("end", ["q", "\x04", signal.SIGTERM, signal.SIGINT])
def test_a_key_or_a_signal_ends_it(end: str | signal.Signals, tmp_path: Path) -> None:
    with server() as (_, url), Watcher(url, tmp_path) as person:
        person.see("1 server answers")
        if isinstance(end, str):
            person.type("x\x1a")  # what ends nothing
            person.type(end)
        else:
            person.process.send_signal(end)
        assert person.leave() == 0


def test_it_fits_any_terminal_and_is_drawn_anew_when_that_changes(tmp_path: Path) -> None:
    with server() as (there, url), Watcher(url, tmp_path) as person:
        rooms = [connect(f"ws://{there.address}/{number:02}", legacy=True) for number in range(20)]
        person.resize(24, 80)
        person.see(r"^/00 +1 +0$")
        person.see(r"^Largest rooms \(\d+ of 20\)")
        person.resize(50, 120)
        person.see(r"^/19 +1 +0$")
        person.see(r"^Largest rooms  ")
        person.resize(12, 40)
        person.see(r"^messages in")
        person.resize(3, 20)
        person.see(r"^trioecho to")
        person.resize(24, 80)
        person.see(r"^/00 +1 +0$")
        for client in rooms:
            client.close()
        person.type("q")
        assert person.leave() == 0


def test_a_server_that_is_away_is_said_in_one_sentence_and_comes_back(tmp_path: Path) -> None:
    with server() as (there, url):
        there.stop()
        with Watcher(url, tmp_path) as person:
            person.see(r"^No answer: connection refused \(nothing listens there\); trying again\.$")
            there.start()
            person.see(r"^1 server answers$")
            there.stop()
            person.see(r"^No answer: .*; trying again\.$")
            there.start()
            person.see(r"^1 server answers$")
            person.type("q")
            assert person.leave() == 0


class Liar(BaseHTTPRequestHandler):
    """Something that says what no server of trioecho's would."""

    bad = "/\x1b[2J\x1b]0;title\x07\u202eabc\n\x9b"

    def do_GET(self) -> None:
        room = {"room": self.bad, "subscribers": 1, "messages": 0}
        client = {"address": self.bad, "room": self.bad, "kind": self.bad, "pending_bytes": 1, "dropped": 0}
        node = {"node": self.bad, "host": self.bad, "pid": 1}
        found = {"names": True, "missing": 0, "nodes": [node, node], "rooms": [room], "clients": [client]}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


def test_what_a_server_names_moves_no_terminal(tmp_path: Path) -> None:
    with HTTPServer(("127.0.0.1", 0), Liar) as liar:
        thread = threading.Thread(target=liar.serve_forever)
        thread.start()
        with Watcher(f"http://127.0.0.1:{liar.server_port}/", tmp_path) as person:
            person.resize(24, 100)
            person.see(r"^2 servers answer$")
            person.see(r"^/\\x1b\[2J\\x1b\]0;title\\x07\\u202eabc\\n\\x9b +1 +0$")
            person.type("q")
            assert person.leave() == 0
        liar.shutdown()
        thread.join()
    assert b"\x1b[2J\x1b]0" not in person.written and b"title\x07" not in person.written
    assert "\u202e".encode() not in person.written


def test_beside_the_rooms_it_says_where_the_names_are(tmp_path: Path) -> None:
    there = ServerProcess()
    with Watcher(f"http://{there.address}/", tmp_path) as person, connect(f"ws://{there.address}/secret"):
        person.see(r"rooms and addresses are named on --metrics-address only")
        person.see(r"^\(not named\) +1 +0$")
        assert "secret" not in person.shown()
        person.type("q")
        assert person.leave() == 0
    there.stop()


# In a script.


def top(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("top", *arguments),
        capture_output=True,
        text=True,
        env=ENVIRONMENT | variables,
        timeout=60,
        check=False,
    )


def test_json_is_what_the_screen_shows_with_rates_of_two_looks() -> None:
    with server() as (there, url), connect(f"ws://{there.address}/a", max_queue=None) as one:
        with connect(f"ws://{there.address}/a", max_queue=None):
            running = subprocess.Popen(command("top", "--json", url), stdout=subprocess.PIPE, env=ENVIRONMENT)
            while running.poll() is None:
                one.send("x" * 10)
                time.sleep(0.002)
            assert running.stdout is not None
            found = json.loads(running.stdout.read())
            running.stdout.close()
    assert running.returncode == 0
    (node,) = found["nodes"]
    assert node["websocket"] == 2 and found["rooms"][0]["room"] == "/a"
    assert 1 < found["rates"]["messages_in"] <= 500 and found["rates"] == node["rates"]
    assert found["rates"]["bytes_in"] >= found["rates"]["messages_in"] * 12 * 0.5


def test_json_of_a_server_that_is_away_is_an_error() -> None:
    port = free_port()
    done = top("--json", f"http://127.0.0.1:{port}/")
    assert done.returncode == 1 and not done.stdout
    assert done.stderr == (
        f"trioecho: http://127.0.0.1:{port}/status: connection refused (nothing listens there)\n"
    )


def test_in_a_pipe_one_sentence_says_what_there_is_instead() -> None:
    done = top("http://127.0.0.1:1/")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr == "trioecho: --json is needed where standard output is not a terminal\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["ftp://a/"], "must begin with http://, https:// or ws+unix:"),
        (["http://a:0/"], "URL 'http://a:0/' has a port that is not a number from 1 to 65535"),
        (["HTTPS://u:secret@/"], "URL 'https://...@/' names no host"),
        (["--token", "a b", "http://a/"], "--token (or TRIOECHO_TOKEN) must be printable ASCII"),
        (["--key", "k", "http://a/"], "--key needs --cert"),
        (["--header", "secret", "http://a/"], "--header must be 'NAME: VALUE'"),
        (["-H", "Host: secret", "http://a/"], "--header cannot set Host: it belongs to the request itself"),
        (["-H", "content-length: 5", "http://a/"], "--header cannot set content-length"),
        (["-H", "Transfer-Encoding: chunked", "http://a/"], "--header cannot set Transfer-Encoding"),
        (["-H", "Connection: close", "http://a/"], "--header cannot set Connection"),
        (["-H", "a secret: c", "http://a/"], "--header has a name wrong"),
        (["-H", "é: secret", "http://a/"], "--header has a name wrong"),
        (["-H", "a: secret ☃", "http://a/"], "--header has the value of a wrong"),
        (["-H", "a: secret\nb: c", "http://a/"], "--header has the value of a wrong"),
        (["-H", "Authorization: secret", "--token", "secret", "http://a/"], "--token and an Authorization"),
        (["--token", "secret\n", "http://a/"], "--token (or TRIOECHO_TOKEN) must be printable ASCII"),
        (["--token", "secret☃", "http://a/"], "--token (or TRIOECHO_TOKEN) must be printable ASCII"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence(arguments: list[str], sentence: str) -> None:
    done = top("--json", *arguments)
    assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1
    assert "secret" not in done.stderr and "Traceback" not in done.stderr
