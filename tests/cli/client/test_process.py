"""`trioecho client` as a process: its standard streams, signals and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from helpers.other_servers import (
    ENVIRONMENT,
    RawServer,
    command,
    frame,
    frames_sent,
    raw_server,
    run_here,
    shake_hands,
    websockets_server,
)
from websockets.sync.server import ServerConnection


@dataclass
class Collector:
    """A server that keeps what one client sends."""

    url: str = ""
    received: list[str | bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def collect(self, connection: ServerConnection) -> None:
        self.received.extend(connection)
        self.over.set()

    def collected(self) -> list[str | bytes]:
        assert self.over.wait(10)
        return self.received


@pytest.fixture
def collecting() -> Iterator[Collector]:
    collector = Collector()
    with websockets_server(collector.collect) as collector.url:
        yield collector


def test_the_greeting_and_every_line_are_sent_and_nothing_is_printed(collecting: Collector) -> None:
    code, out, err = run_here(
        "client", collecting.url, "--greet", "Hello Server!", stdin="one\n\ntwo\nlast without a newline"
    )
    assert (code, out) == (0, b"")
    assert collecting.collected() == ["Hello Server!", "one", "", "two", "last without a newline"]
    assert err == f"connected to {collecting.url}\n"


def test_a_file_as_standard_input(collecting: Collector, tmp_path: Path) -> None:
    (tmp_path / "lines").write_text("".join(f"{number}\n" for number in range(5000)))
    with (tmp_path / "lines").open() as stdin:
        subprocess.run(
            command("client", collecting.url), stdin=stdin, check=True, env=ENVIRONMENT, timeout=20
        )
    assert collecting.collected() == [str(number) for number in range(5000)]


async def test_messages_are_printed_until_the_answer_to_our_close_frame() -> None:
    """What comes while standard input ends is not lost; binary comes in base64."""

    async def late(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        while not server.received:
            server.received += await stream.receive_some()
        await stream.send_all(frame(1, "späte Zeile".encode()) + frame(2, b"\0\xff") + frame(8, b"\x03\xe8"))

    async with raw_server(late) as server:
        done = await trio.run_process(
            command("client", server.url), stdin=b"", capture_stdout=True, env=ENVIRONMENT
        )
    assert done.stdout.decode() == "späte Zeile\nAP8=\n"
    assert frames_sent(server.received) == [(8, b"\x03\xe8")]


def test_a_server_that_is_done_is_fine() -> None:
    def one(connection: ServerConnection) -> None:
        connection.send("only")

    with websockets_server(one) as url:
        assert run_here("client", url, "--stay")[:2] == (0, b"only\n")


def test_a_server_that_goes_away_is_not() -> None:
    def away(connection: ServerConnection) -> None:
        connection.close(1012, "new version")

    with websockets_server(away) as url:
        code, out, err = run_here("client", url, "--stay")
    assert (code, out) == (1, b"")
    assert err.splitlines()[-1] == (
        f"trioecho: {url} closed the connection: 1012 (service restart), new version"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_leaves_politely(number: signal.Signals) -> None:
    connected = trio.Event()

    async def polite(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(1, b"come in"))
        while not server.received:
            server.received += await stream.receive_some()
        await stream.send_all(frame(8, b"\x03\xe8"))
        connected.set()

    stdin, keep_open = os.pipe()
    async with raw_server(polite) as server:
        process = await trio.lowlevel.open_process(
            command("client", server.url), stdin=stdin, stdout=subprocess.PIPE, env=ENVIRONMENT
        )
        os.close(stdin)
        assert process.stdout is not None
        assert await process.stdout.receive_some() == b"come in\n"
        process.send_signal(number)
        assert await process.wait() == 0
        os.close(keep_open)
        await process.stdout.aclose()
    assert frames_sent(server.received) == [(8, b"\x03\xe8")]


async def test_a_second_signal_ends_at_once() -> None:
    asked = trio.Event()

    async def deaf(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(1, b"come in"))
        server.received += await stream.receive_some()
        asked.set()
        await server.listen(stream)

    async with raw_server(deaf) as server:
        process = await trio.lowlevel.open_process(
            command("client", server.url, "--stay"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None
        assert await process.stdout.receive_some() == b"come in\n"
        process.send_signal(signal.SIGINT)
        await asked.wait()
        process.send_signal(signal.SIGINT)
        with trio.fail_after(5):
            assert await process.wait() == 130
        await process.stdout.aclose()


def test_a_reader_that_has_enough_ends_it_quietly() -> None:
    def endless(connection: ServerConnection) -> None:
        while True:
            connection.send("y")

    with websockets_server(endless) as url:
        client = subprocess.Popen(
            command("client", url, "--stay"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert client.stdout is not None and client.stderr is not None
        assert client.stdout.read(4) == b"y\ny\n"
        client.stdout.close()
        assert client.wait(timeout=10) == 0
        assert client.stderr.read().decode() == f"connected to {url}\n"
        client.stderr.close()


def test_input_that_is_not_text_is_told(collecting: Collector) -> None:
    code, _, err = run_here("client", collecting.url, stdin=b"fine\nnot \xff fine\nnever sent\n")
    assert code == 1
    assert err.splitlines()[-1] == (
        "trioecho: record 2 of standard input is not UTF-8 text (--binary sends bytes as they are)"
    )
    assert collecting.collected() == ["fine"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["http://localhost/"], 2, "must begin with ws://, wss:// or ws+unix:"),
        (["ws://localhost:x/"], 2, "has a port that is not a number from 1 to 65535"),
        (["--no-such-option"], 2, "there is no option --no-such-option"),
        (["--count", "many"], 2, "'many' is not a whole number"),
        (["--count", "0"], 2, "--count must be at least 1"),
        (["--timeout", "5s"], 2, "'5s' is not a number"),
        (["--reconnect-attempts", "many"], 2, "'many' is not a whole number"),
        (["--cacert", "/"], 2, "is a directory"),
        (["localhost", "hello"], 2, "nothing is expected where 'hello' stands"),
        (["ws://nothing.invalid/"], 1, "the name nothing.invalid is not known"),
        (["ws+unix:/no/such.sock"], 1, "there is no such socket"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], code: int, sentence: str) -> None:
    got, out, err = run_here("client", *arguments)
    assert (got, out) == (code, b"")
    assert sentence in err
    assert err.startswith("trioecho: ") and err.count("\n") == 1


def test_an_unreachable_server_is_one_sentence() -> None:
    with websockets_server() as url:
        pass
    assert run_here("client", url) == (
        1,
        b"",
        f"trioecho: cannot connect to {url}: connection refused (nothing listens there)\n",
    )
