"""``trioecho bench`` as a person uses it: what it prints, what it says when it cannot, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from helpers.bench_relays import dropping, relaying

from trioecho.cli import main

Call = Callable[..., tuple[object, str, str]]

FEW = ["--subscribers", "3", "--duration", "0.1", "--warmup", "0", "--stall", "0.3", "--window", "8"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Call ``trioecho bench``; gives its exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr("sys.argv", ["trioecho", "bench", *arguments])
        with pytest.raises(SystemExit) as exited:
            main()
        printed = capfd.readouterr()
        return exited.value.code, printed.out, printed.err

    return call


def test_a_report_for_people(run: Call) -> None:
    with relaying() as url:
        code, out, err = run(url, *FEW)
    assert (code, err) == (0, "")
    assert re.search(r"messages, [\d,]+ deliveries in 0\.1 s: [\d,]+ a second", out)
    assert out.endswith("every message reached everyone once, in order\n")


def test_a_report_for_machines(run: Call) -> None:
    with relaying() as url:
        code, out, _ = run(url.removeprefix("ws://"), *FEW, "--json")
    assert code == 0
    figures = json.loads(out)
    assert figures["plan"]["window"] == 8
    assert figures["problems"] == []


def test_a_storm(run: Call) -> None:
    with relaying() as url:
        code, out, err = run(url, *FEW, "--storm", "--stayed", "2", "--rate", "50")
        assert (code, err) == (0, "")
        assert "6 connections" in out and "storm: 3 clients were cut; 3 were connected again" in out
        code, out, _ = run(url, *FEW, "--mode", "storm", "--stayed", "2", "--json", "--duration", "1")
    assert code == 0
    figures = json.loads(out)
    assert figures["plan"]["rate"] == 10
    assert figures["storm"]["returned"] == 3


def test_clients_that_only_stay(run: Call) -> None:
    with relaying() as url:
        code, out, _ = run(url, "--mode", "idle", *FEW, "--pid", str(os.getpid()))
        assert code == 0
        assert re.search(r"idle: [\d.]+% of a core of the server", out)
        code, out, _ = run(url, "--mode", "idle", *FEW, "--pid", str(os.getpid()), "--json")
    figures = json.loads(out)
    assert figures["seconds"] >= 0.1 and figures["server"]["busy"] >= 0


def test_a_faulty_server_is_exit_code_1(run: Call) -> None:
    with relaying(dropping) as url:
        code, out, err = run(url, *FEW)
    assert code == 1
    assert re.search(r"WRONG: [\d,]+ deliveries were lost", out)
    assert re.fullmatch(r"trioecho: [\d,]+ deliveries were lost\n", err)


def test_a_report_that_cannot_be_written_is_one_sentence() -> None:
    with relaying() as url, open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "trioecho", "bench", url, *FEW]
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    sentence = "trioecho: standard output cannot be written: no space left on device\n"
    assert (done.returncode, done.stderr) == (1, sentence)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["http://127.0.0.1/"],
            "URL 'http://127.0.0.1/' must begin with ws://, wss:// or ws+unix:",
        ),
        (
            ["ws://127.0.0.1:99999/"],
            "URL 'ws://127.0.0.1:99999/' has a port that is not a number",
        ),
        (["ws://a..b/"], "URL 'ws://a..b/' has a host name that is not a domain name"),
        ([f"ws://{'a' * 64}.invalid/"], f"URL 'ws://{'a' * 64}.invalid/' has a host name that is not"),
        (["--size", "3"], "--size must be a whole number from 16 to 16777216, not 3"),
        (["--subscribers", "5", "--rooms", "2"], "--subscribers must divide evenly over 2 rooms"),
        (["wss://127.0.0.1/", "--cacert", "/nowhere"], "--cacert /nowhere cannot be read: no such file"),
        (["wss://127.0.0.1/", "--cacert", __file__], f"--cacert {__file__} holds no certificate that can be"),
        (["--size", "1MB"], "--size '1MB' is not a size"),
        (["--subscribers", "many"], "--subscribers 'many' is not a whole number"),
        (["--duration", "5s"], "--duration '5s' is not a number"),
        (["--mode", "gentle"], "--mode 'gentle' is not one of 'flood', 'paced'"),
        (
            ["--lines", "/nowhere"],
            "--lines /nowhere cannot be read: no such file or directory",
        ),
        (
            ["--storm", "--mode", "connect"],
            "--storm is a mode of its own, which cannot be --mode connect too",
        ),
        (["--storm", "--stayed", "0"], "--stayed must be a whole number from 1 to 1000000, not 0"),
        (["--storm", "--subscribers", "0"], "--subscribers must be a whole number from 1 to 1000000, not 0"),
        (
            ["--storm", "--rooms", "3", "--subscribers", "9"],
            "--stayed must divide evenly over 3 rooms",
        ),
        (["--at-once", "0"], "--at-once must be a whole number from 1 to 1000000, not 0"),
        (
            ["--source", "localhost"],
            "--source must be an IP address or a network such as 127.0.1.0/24, not 'localhost'",
        ),
        (["--lines", os.devnull], f"--lines {os.devnull} must hold lines of ASCII text"),
    ],
)
def test_wrong_options_are_one_sentence_and_exit_code_2(
    run: Call, arguments: list[str], sentence: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"trioecho: {sentence}")


def test_a_refused_connection_is_one_sentence(run: Call) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert run(f"ws://127.0.0.1:{port}/") == (
            1,
            "",
            f"trioecho: cannot connect to ws://127.0.0.1:{port}: connection refused\n",
        )


def test_no_unix_socket_and_no_such_name_are_one_sentence(run: Call) -> None:
    assert run("ws+unix:/no/such.sock:/") == (
        1,
        "",
        "trioecho: cannot connect to ws+unix:/no/such.sock: no such file or directory\n",
    )
    long = "/a" * 100
    assert run(f"ws+unix:{long}:/") == (
        1,
        "",
        f"trioecho: cannot connect to ws+unix:{long}: AF_UNIX path too long\n",
    )
    assert run("ws://nothing.invalid/") == (1, "", "trioecho: the name nothing.invalid is not known\n")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\n\r\n",
            "did not open a WebSocket connection; it answered 'HTTP/1.1 404 Not Found'",
        ),
        (b"HTTP/1.1 101 Yes\r\n\r\n", "answered the handshake with a wrong Sec-WebSocket-Accept"),
        (b"220 ready for mail\r\n", "is not a WebSocket server; it answered '220 ready for mail"),
        (b"", "closed the connection without an answer"),
    ],
)
def test_no_websocket_server_is_one_sentence(run: Call, answer: bytes, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        code, _, err = run(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert (code, err.count("\n")) == (1, 1)
    assert sentence in err


def test_too_many_connections_for_this_machine_is_one_sentence(
    run: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 300))
    code, _, err = run("--subscribers", "280")
    assert (code, err) == (
        1,
        "trioecho: 313 open files are needed, but this process may have 300: see 'ulimit -Hn'\n",
    )


def test_a_process_that_is_not_there_is_one_sentence(run: Call) -> None:
    code, _, err = run("--pid", "4194305")
    assert (code, err) == (1, "trioecho: process 4194305 cannot be looked at: no such file or directory\n")
