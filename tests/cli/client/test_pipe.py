"""`trioecho client` in a pipe: formats, ends, backpressure; and its short forms `listen` and `send`."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import trio
from helpers.other_servers import (
    ENVIRONMENT,
    RawServer,
    command,
    frame,
    raw_server,
    run_here,
    shake_hands,
    websockets_server,
)
from hypothesis import given, settings
from hypothesis import strategies as some
from websockets.sync.server import ServerConnection

from trioecho.cli.client.formats import Json, Raw, Records

ROOM = "/a room"


def talking(connection: ServerConnection) -> None:
    """Say something of each kind, and be done."""
    connection.send("text")
    connection.send(b"\x00\xff")
    connection.send("")
    connection.close()


@pytest.fixture(scope="module")
def talker() -> Iterator[str]:
    with websockets_server(talking) as url:
        yield url


@pytest.fixture(scope="module")
def echo_url() -> Iterator[str]:
    with websockets_server() as url:
        yield url


def test_null_separates_messages_that_may_hold_newlines(talker: str) -> None:
    assert run_here("listen", talker, "--null") == (0, b"text\0AP8=\0\0", f"connected to {talker}\n")


def test_raw_writes_bytes_as_they_are(talker: str) -> None:
    assert run_here("listen", talker, "--raw", "--quiet") == (0, b"text\x00\xff", "")


def test_json_tells_time_type_and_room(talker: str) -> None:
    code, out, _ = run_here("listen", f"{talker}a%20room?x=y", "--json")
    first, second, third = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert time.time() - 60 < time.mktime(time.strptime(first.pop("time")[:19], "%Y-%m-%dT%H:%M:%S"))
    assert first == {"type": "text", "room": ROOM, "data": "text"}
    assert second["base64"] == "AP8=" and second["type"] == "binary"
    assert third["data"] == ""


@pytest.mark.parametrize(
    ("arguments", "stdin", "out"),
    [
        (["--null", "--count=2"], b"a\nb\0\xc3\xbc", b"a\nb\0\xc3\xbc\0"),
        (["--binary", "--count=2"], b"one\n\xff\n", base64.b64encode(b"one") + b"\n/w==\n"),
        (["--binary", "--raw", "--count=1"], b"one\n\xff\n", b"one\n\xff\n"),
        (["--raw", "--count=2"], b"one\ntwo\n", b"onetwo"),
    ],
)
def test_what_goes_in_comes_out(echo_url: str, arguments: list[str], stdin: bytes, out: bytes) -> None:
    assert run_here("client", echo_url, *arguments, stdin=stdin)[:2] == (0, out)


def test_json_goes_in_as_it_came_out(echo_url: str) -> None:
    given = b'"bare"\n{"time": "never", "data": "t\\nx"}\n{"base64": "AP8="}\n'
    code, out, _ = run_here("client", echo_url, "--json", "--count=3", stdin=given)
    assert code == 0
    assert run_here("client", echo_url, "--json", "--count=3", stdin=out)[0] == 0
    got = [json.loads(line) for line in out.splitlines()]
    assert [one.get("data", one.get("base64")) for one in got] == ["bare", "t\nx", "AP8="]


def test_fewer_messages_than_asked_for_is_a_failure(talker: str, echo_url: str) -> None:
    code, out, err = run_here("listen", talker, "--count=4")
    assert (code, out) == (1, b"text\nAP8=\n\n")
    assert err.splitlines()[-1] == "trioecho: 3 of 4 messages came"
    code, out, err = run_here("client", echo_url, "--count=2", "--timeout=0.2", stdin=b"x\n")
    assert (code, out) == (1, b"x\n")
    assert err.splitlines()[-1] == "trioecho: 1 of 2 messages came within 0.2 s of silence"


def test_more_messages_than_asked_for_are_not_printed(talker: str) -> None:
    assert run_here("listen", talker, "--count=1")[:2] == (0, b"text\n")


def test_silence_ends_it_and_that_is_fine(echo_url: str) -> None:
    assert run_here("client", echo_url, "--timeout=0.2", stdin=b"x\n")[:2] == (0, b"x\n")


def test_yes_is_fine(echo_url: str) -> None:
    """More input than anybody wants: the count ends it, and the writer gets a SIGPIPE."""
    yes = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    assert yes.stdout is not None
    done = subprocess.run(
        command("client", echo_url, "--count=1000"),
        stdin=yes.stdout,
        capture_output=True,
        timeout=20,
        env=ENVIRONMENT,
    )
    yes.stdout.close()
    yes.wait()
    assert (done.returncode, done.stdout) == (0, b"y\n" * 1000)


def test_a_slow_reader_slows_the_server_and_memory_stays_bounded() -> None:
    """100 MB that nobody reads for a while: the server has to wait, and all of it arrives in the end."""
    block, blocks = os.urandom(100_000), 1000

    def much(connection: ServerConnection) -> None:
        for _ in range(blocks):
            connection.send(block)

    # The kernel's own count; the peak of getrusage() begins with what the parent had.
    watch = (
        "import sys; from trioecho.cli import main\n"
        "try: main()\n"
        "finally: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr)"
    )
    with websockets_server(much) as url:
        client = subprocess.Popen(
            [sys.executable, "-c", watch, "listen", url, "--raw", "--quiet"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert client.stdout is not None and client.stderr is not None
        got = 0
        while chunk := client.stdout.read(len(block)):
            assert chunk == block
            got += 1
        assert (client.wait(), got) == (0, blocks)
        peak = int(client.stderr.read()) * 1024
        client.stdout.close()
        client.stderr.close()
    assert peak < 100_000_000


def test_a_slow_server_slows_standard_input() -> None:
    """What the client holds of an input that the server does not take is bounded."""
    taken = 0

    def deaf(connection: ServerConnection) -> None:
        connection.recv()
        connection.close(1000)

    with websockets_server(deaf, max_size=None) as url:
        client = subprocess.Popen(
            command("client", url, "--binary", "--raw", "--close-timeout=0.1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert client.stdin is not None and client.stderr is not None
        try:
            while taken < 200_000_000:
                taken += os.write(client.stdin.fileno(), bytes(65536))
        except BrokenPipeError:
            pass
        client.stdin.close()
        assert client.wait(timeout=10) == 1
        assert b"closed the connection" in client.stderr.read()
        client.stderr.close()
    assert taken < 100_000_000


def test_send_sends_and_leaves() -> None:
    got: list[str | bytes] = []
    with websockets_server(lambda connection: got.extend(connection)) as url:
        assert run_here("send", url, "one", "two words", "") == (0, b"", "")
        assert run_here("send", url, stdin=b"all of\nit\n") == (0, b"", "")
        assert run_here("send", "--binary", url, stdin=b"\xff\n") == (0, b"", "")
    assert got == ["one", "two words", "", "all of\nit\n", b"\xff\n"]


async def test_send_says_when_it_was_not_taken() -> None:
    """Whether the server closes before our close frame or at the same time."""

    async def refuse(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(8, b"\x03\xf0not you"))
        await server.listen(stream)

    async with raw_server(refuse) as server:
        done = await trio.run_process(
            command("send", server.url, "x"), capture_stderr=True, check=False, env=ENVIRONMENT
        )
    assert done.returncode == 1
    assert b"1008 (policy violation), not you" in done.stderr


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (b"\xff", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[]", 'is neither a string nor an object with "data" or "base64"'),
        (b"{}", 'is neither a string nor an object with "data" or "base64"'),
        (b'{"data": 1}', 'is neither a string nor an object with "data" or "base64"'),
        (b'{"base64": "?"}', 'has no base64 in "base64"'),
        (b'{"base64": 1}', 'has no base64 in "base64"'),
        (b"[" * 200_000, "is JSON nested too deeply to be read"),
        (b'{"data":' * 200_000, "is JSON nested too deeply to be read"),
        (b"1" * 10_000, "is not JSON"),
        (b'{"data": "\\udfff"}', "contains half of a surrogate pair, which UTF-8 cannot encode"),
        (b'"\xed\xa0\x80"', "contains half of a surrogate pair, which UTF-8 cannot encode"),
        (b'{"base64": "\\ud800"}', 'has no base64 in "base64"'),
        (b'"\\ud800"', "contains half of a surrogate pair, which UTF-8 cannot encode"),
    ],
)
def test_json_that_is_no_message(record: bytes, problem: str) -> None:
    with pytest.raises(ValueError) as caught:
        Json(ROOM).decode(record)
    assert str(caught.value) == problem


def test_json_that_is_no_message_is_one_sentence_and_what_came_before_is_sent() -> None:
    got: list[str | bytes] = []
    with websockets_server(lambda connection: got.extend(connection)) as url:
        code, out, err = run_here("client", url, "--json", stdin=b'"fine"\n' + b"[" * 200_000)
    assert (code, out, got) == (1, b"", ["fine"])
    assert err.splitlines()[-1] == (
        "trioecho: record 2 of standard input is JSON nested too deeply to be read"
    )


@settings(max_examples=50)
@given(some.one_of(some.text(), some.binary()))
def test_json_loses_nothing(message: str | bytes) -> None:
    line = Json(ROOM).encode(message)
    assert line.count(b"\n") == 1
    assert Json(ROOM).decode(line[:-1]) == message


def test_a_terminal_obeys_nothing_of_a_message() -> None:
    assert Records(safe=True).encode("\x1b[2J\ttab") == b"\\x1b[2J\ttab\n"


@given(some.binary())
def test_binary_records_lose_nothing(record: bytes) -> None:
    assert Records(binary=True).decode(record) == record
    assert Raw(binary=True).encode(Raw(binary=True).decode(record)) == record
    assert base64.b64decode(Records().encode(record)) == record
