"""``trioecho serve`` as a person starts it: what it says, where it listens, and how it says no."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import pytest
from helpers.raw_peer import BINARY, TEXT, close, connected, frame, joined, request
from helpers.server_process import environment, running

from trioecho.cli import main
from trioecho.cli.declared import flags, variable
from trioecho.cli.logs import Logging
from trioecho.options import declared
from trioecho.settings import Listening, Settings

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"

WRONG = {
    "an unknown option": (["--colour", "red"], {}, "--colour"),
    "an argument": (["now"], {}, "now"),
    "a port that is none": (["--port", "65536"], {}, "--port"),
    "a port that is no number": (["--port", "http"], {}, "'http' is not a whole number"),
    "a host with a port": (["--host", "localhost:8000"], {}, "--port"),
    "a URL as host": (["--host", "ws://localhost/"], {}, "--host"),
    "an empty host": (["--host", ""], {}, "--host"),
    "an unknown audience": (["--to", "nobody"], {}, "--to"),
    "an unknown policy": (["--when-slow", "panic"], {}, "--when-slow"),
    "a prefix that is too long": (["--prefix", "x" * 1025], {}, "--prefix"),
    "a size with an unknown unit": (["--max-message-size", "1MB"], {}, "--max-message-size"),
    "a size that is none": (["--max-pending-bytes", "much"], {}, "--max-pending-bytes"),
    "a size of nothing": (["--max-message-size", "0"], {}, "--max-message-size"),
    "a negative size": (["--max-message-size", "-1"], {}, "--max-message-size"),
    "a size larger than can be": (["--max-message-size", "2GiB"], {}, "--max-message-size"),
    "an outbox that no message fits": (["--max-pending-bytes", "1023KiB"], {}, "--max-pending-bytes"),
    "no connections": (["--max-connections", "0"], {}, "--max-connections"),
    "no rooms": (["--max-rooms", "0"], {}, "--max-rooms"),
    "a stall limit of nothing": (["--stall-limit", "0"], {}, "--stall-limit"),
    "a time that is none": (["--stall-limit", "nan"], {}, "--stall-limit"),
    "a time without end": (["--handshake-timeout", "inf"], {}, "--handshake-timeout"),
    "a negative time": (["--ping-interval", "-1"], {}, "--ping-interval"),
    "a time with a unit": (
        ["--ping-timeout", "20s"],
        {},
        "--ping-timeout '20s' is not a number (give it without a unit, as in 2.5)",
    ),
    "a time longer than a day": (["--shutdown-timeout", "86401"], {}, "--shutdown-timeout"),
    "a public URL that is none": (["--public-url", "chat.example.com"], {}, "--public-url must be a URL"),
    "a public URL with a query": (["--public-url", "https://a.example/?b"], {}, "--public-url must be a URL"),
    "a subprotocol that is none": (["--subprotocol", "two words"], {}, "--subprotocol must be"),
    "a subprotocol twice": (
        ["--subprotocol", "a", "--subprotocol", "a"],
        {},
        "--subprotocol names 'a' twice",
    ),
    "an address for metrics without a port": (
        ["--metrics-address", "127.0.0.1"],
        {},
        "--metrics-address must be",
    ),
    "an unknown log format": (["--log-format", "xml"], {}, "--log-format"),
    "an unknown log level": (["--log-level", "chatty"], {}, "--log-level"),
    "a wrong environment variable": (
        [],
        {"TRIOECHO_MAX_ROOMS": "many"},
        "TRIOECHO_MAX_ROOMS 'many' is not a whole number",
    ),
    "a size that is wrong in the environment": ([], {"TRIOECHO_MAX_MESSAGE_SIZE": "1MB"}, "TRIOECHO_MAX_"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_option_is_told_in_one_sentence_and_exits_with_2(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, variables, named = WRONG[wrong]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.argv", ["trioecho", "serve", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    printed = capsys.readouterr()
    assert exited.value.code == 2
    assert printed.out == ""
    assert re.fullmatch(r"trioecho: [^\n]+\n", printed.err)
    assert named in printed.err


def serve(*options: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``trioecho serve`` to its end, which it must come to by itself."""
    command = [sys.executable, "-m", "trioecho", "serve", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, env=environment(**(variables or {}))
    )


def test_a_port_in_use_is_told_in_one_sentence_and_exits_with_1() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ended = serve("--port", port)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(rf"trioecho: cannot listen on 127\.0\.0\.1:{port}: [^\n]+\n", ended.stderr)
    assert "in use" in ended.stderr


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_told_in_one_sentence_and_exits_with_1(host: str) -> None:
    ended = serve("--host", host, "--port", "0")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(rf"trioecho: cannot listen on {re.escape(host)}[^\n]+\n", ended.stderr)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs Linux, a superuser and setpriv, to take a privilege away",
)
def test_a_port_that_takes_privileges_is_told_with_what_to_do() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443:
        pytest.skip("needs a system where port 443 takes privileges")
    without = ["setpriv", "--bounding-set=-net_bind_service"]
    command = [*without, sys.executable, "-m", "trioecho", "serve", "--port", "443"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 1
    assert ended.stderr == (
        "trioecho: cannot listen on 127.0.0.1:443: permission denied; ports below 1024 take privileges:"
        " choose a higher one, or let systemd listen\n"
    )


def test_without_a_command_it_shows_the_help() -> None:
    command = [sys.executable, "-m", "trioecho"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2 and ended.stderr.startswith("Usage: trioecho [OPTIONS] COMMAND")


COMMANDS = ["", "serve", "client", "listen", "send", "bench"]


def help_of(command: str, columns: int) -> str:
    """What a command's ``--help`` prints on a terminal of this width, without colour."""
    ended = subprocess.run(
        [sys.executable, "-m", "trioecho", *command.split(), "--help"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=environment(COLUMNS=str(columns), TERM="dumb", NO_COLOR="1"),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("columns", [80, 200])
def test_the_help_names_every_option_with_its_variable_and_default(columns: int) -> None:
    text = help_of("serve", columns)
    for name, option in {**declared(Listening), **declared(Settings), **declared(Logging)}.items():
        words = f" {flags(name, option).replace('/', ' / ')}"
        assert re.search(rf"^ {words}( {re.escape(option.metavar)})?( |$)", text, re.MULTILINE), name
        assert re.search(rf"env: {variable(name, option)}\]$", text, re.MULTILINE), name
    for default in "127.0.0.1 7890 others wait 4MiB 1MiB 10000 1000 info text on 5".split():
        assert f"default: {default}," in text
    unwrapped = " ".join(text.split())
    assert "SIZE is a number of bytes, or has a unit: 512KiB, 4MiB, 1GiB." in unwrapped
    assert "SECONDS is a number without a unit: 20 or 0.5." in unwrapped


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_80_columns_and_nothing_in_it_is_cut_or_is_a_types_name(command: str) -> None:
    text = help_of(command, 80)
    assert text.startswith(f"Usage: trioecho {command}".rstrip() + " [OPTIONS]")
    for line in text.splitlines():
        assert len(line) <= 80 and line == line.rstrip()
    for ugly in ("…", "<bool>", "<str>", "<list", "(4MiB)", "(1MiB)", "[[", "default: False", ".0]"):
        assert ugly not in text


def test_usage_says_which_arguments_must_be_given_and_which_may_be_several() -> None:
    assert help_of("send", 80).splitlines()[0] == "Usage: trioecho send [OPTIONS] URL [MESSAGE]..."
    assert help_of("client", 80).splitlines()[0] == "Usage: trioecho client [OPTIONS] [URL]"


def test_the_help_of_all_names_each_command_with_a_sentence() -> None:
    text = help_of("", 80)
    for command in filter(None, COMMANDS):
        assert re.search(rf"^  {command} +[A-Z]", text, re.MULTILINE)


async def test_it_says_where_it_listens_in_one_line() -> None:
    async with running(log_format="text") as server:
        assert re.fullmatch(
            rf"{TIME} info listening url=ws://(127\.0\.0\.1:\d+/) page=http://\1", server.lines[0]
        )
        assert len(server.lines) == 1
        async with joined(server.url) as one, joined(server.url) as other:
            await one.send(frame(TEXT, b"hello"))
            assert await other.read_frame() == (TEXT, b"hello")


async def test_it_listens_on_every_host_on_one_port() -> None:
    async with running("--host", "127.0.0.1", "--host", "::1", "--host", "127.0.0.2") as server:
        urls = [(await server.event("listening", count=count))["url"] for count in (1, 2, 3)]
        port = urls[0].rpartition(":")[2]
        assert urls == [f"ws://127.0.0.1:{port}", f"ws://[::1]:{port}", f"ws://127.0.0.2:{port}"]
        async with joined(urls[0]) as one, joined(urls[1]) as two, joined(urls[2]) as three:
            await one.send(frame(TEXT, b"hello"))
            for each in (two, three):
                assert await each.read_frame() == (TEXT, b"hello")
            came = await server.event("connected", count=2)
            assert came["address"].startswith("[::1]:")


@pytest.mark.parametrize(("host", "page"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]")])
async def test_a_wildcard_address_is_logged_as_what_it_is_with_a_warning(host: str, page: str) -> None:
    async with running("--host", host) as server:
        listening = await server.event("listening")
        port = listening["url"].rstrip("/").rpartition(":")[2]
        assert listening["url"] == f"ws://{f'[{host}]' if ':' in host else host}:{port}/"
        assert listening["page"] == f"http://{page}:{port}/"
        warning = await server.event("message", level="warning")
        assert host in warning["text"] and "open to everybody who can reach" in warning["text"]
        async with joined(f"ws://{page}:{port}/"):
            pass


async def test_a_loopback_address_is_logged_without_a_warning() -> None:
    async with running("--host", "127.0.0.1", "--host", "::1") as server:
        await server.event("listening", count=2)
        async with joined(server.url):
            await server.event("connected")
        assert not server.find(level="warning")


async def test_a_public_url_is_where_the_page_is() -> None:
    async with running("--public-url", "wss://chat.example.com/rooms") as server:
        listening = await server.event("listening")
        assert listening["page"] == "https://chat.example.com/rooms/"
        assert listening["url"].startswith("ws://127.0.0.1:")


async def test_options_may_come_from_the_environment_and_the_command_line_goes_first() -> None:
    variables = {
        "TRIOECHO_TO": "sender",
        "TRIOECHO_PREFIX": "not this: ",
        "TRIOECHO_MAX_MESSAGE_SIZE": "1KiB",
    }
    async with running("--prefix", "echo: ", variables=variables) as server, joined(server.url) as peer:
        await peer.send(frame(TEXT, b"hello") + frame(BINARY, b"x" * 1024))
        assert await peer.read_frame() == (TEXT, b"echo: hello")
        assert await peer.read_frame() == (BINARY, b"x" * 1024)
        await peer.send(frame(TEXT, b"x" * 1025))
        assert await peer.read_close() == 1009


async def test_everyone_includes_the_sender() -> None:
    async with running("--to", "everyone") as server:
        async with joined(server.url) as one, joined(server.url) as other:
            await one.send(frame(TEXT, b"hello"))
            for each in (one, other):
                assert await each.read_frame() == (TEXT, b"hello")


async def test_a_line_of_the_json_log_is_an_object_with_time_level_and_event() -> None:
    async with running("--log-level", "debug") as server:
        async with joined(server.url, b"/news") as one, joined(server.url, b"/news") as other:
            await one.send(frame(TEXT, b"hello") + frame(BINARY, b"\x00\xff"))
            for _ in range(2):
                await other.read_frame()
            await one.send(close(1000, b"bye"))
            assert await one.read_close() == 1000
            left = await server.event("disconnected")
        await server.event("disconnected", count=2)
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 0
    entries = [json.loads(line) for line in server.lines]
    for entry in entries:
        assert datetime.fromisoformat(entry["time"]).tzinfo is not None
        assert entry["level"] in ("debug", "info") and entry["event"]
    came = [entry for entry in entries if entry["event"] == "connected"]
    assert [(entry["room"], entry["there"]) for entry in came] == [("/news", 1), ("/news", 2)]
    expected = {"room": "/news", "why": "client-closed", "code": 1000, "received": 2, "sent": 0, "dropped": 0}
    assert expected.items() <= left.items()
    assert left["address"] == came[0]["address"] and 0 <= left["stayed"] < 60
    assert [entry["length"] for entry in entries if entry["event"] == "message"] == [5, 2]
    assert [entry["event"] for entry in entries][-2:] == ["shutting-down", "stopped"]


FORGED = b"/%0a2026-01-01%2000:00:00%20info%20came%20address=1.2.3.4%1b[31m%22%5c%e2%80%ae"


@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_what_a_client_chose_can_forge_no_line_and_steer_no_terminal(log_format: str) -> None:
    async with running("--log-level", "debug", log_format=log_format) as server:
        async with joined(server.url, FORGED) as peer:
            await peer.send(
                frame(TEXT, b"\n2026-01-01 00:00:00 info fine\x1b[2J") + close(1000, b"\nforged=1\x1b")
            )
            await peer.read_close()
        async with connected(server.url) as peer:
            await peer.send(request(b"/\x1b[31m"))
            await peer.read_response()
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 0
    for line in server.lines:
        assert line.isprintable() and line.isascii()
        if log_format == "json":
            json.loads(line)
        else:
            assert re.match(
                rf"{TIME} (debug|info) (listening|connected|message|disconnected"
                r"|refused|shutting-down|stopped)",
                line,
            )
    assert len(server.lines) == 7
