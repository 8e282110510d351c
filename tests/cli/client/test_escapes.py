"""Nothing that a server sends moves a terminal: not on standard output, not on standard error."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import unicodedata
from collections.abc import Iterator

import pytest
from helpers.other_servers import ENVIRONMENT, command, run_here, websockets_server
from hypothesis import given
from hypothesis import strategies as some
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from trioecho.cli.client.formats import Json, Raw, Records
from trioecho.protocol.escape import escape, escape_json, quote

DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
"""The bidirectional classes of characters that change how others are shown (UAX 9)."""

NASTY = "\x1b[2J\x9b31m\x07\x7f\u202egone"


@pytest.fixture(scope="module")
def nasty_url() -> Iterator[str]:
    def tell(connection: ServerConnection) -> None:
        connection.send(NASTY)
        connection.send(NASTY.encode())
        connection.close(1008, NASTY)

    with websockets_server(tell) as url:
        yield url


def harmless(text: str) -> bool:
    return all(character.isprintable() or character in "\r\n\t" for character in text)


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--raw"], ["--null"]])
def test_messages_on_a_terminal(nasty_url: str, arguments: list[str]) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        command("listen", nasty_url, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=ENVIRONMENT | {"NO_COLOR": "1"},
    )
    assert process.wait(timeout=20) == 1
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 65536):
            shown += data
    except OSError:  # Linux's way of saying that nobody has the other side open any more
        pass
    os.close(master)
    text = shown.decode()
    assert "gone" in text and "1008 (policy violation), " in text
    assert harmless(text.replace("\0", ""))


def test_messages_in_a_pipe_are_what_they_are(nasty_url: str) -> None:
    code, out, err = run_here("listen", nasty_url, "--raw")
    assert (code, out) == (1, NASTY.encode() * 2)
    assert harmless(err)
    assert r"\x1b[2J\x9b31m\x07\x7f\u202egone" in err


def test_a_rejection_and_a_reason_on_standard_error() -> None:
    def reject(connection: ServerConnection, request: Request) -> Response:
        body = NASTY.encode()
        return Response(403, "No", Headers({"Content-Length": str(len(body))}), body)

    with websockets_server(process_request=reject) as url:
        code, _, err = run_here("listen", url)
    assert code == 1
    assert harmless(err) and err.count("\n") == 1
    assert r"it answered HTTP 403 (\x1b[2J" in err


@given(some.text())
def test_what_is_escaped_is_harmless_and_json_stays_what_it_was(text: str) -> None:
    for character in escape(text):
        assert unicodedata.category(character) not in ("Cc", "Cs") or character in "\n\t"
        assert unicodedata.bidirectional(character) not in DIRECTIONS
    assert "\n" not in quote(text, 50) and len(quote(text, 50)) <= 50 * 10 + 1
    assert json.loads(escape_json(json.dumps(text, ensure_ascii=False))) == text


def test_each_format_on_a_terminal() -> None:
    assert Raw(safe=True).encode(b"\x1b\xff") == rb"\x1b\xff"
    assert Records(safe=True).encode("\x9bm\t") == b"\\x9bm\t\n"
    line = Json("/\x9b", safe=True).encode("\x9bm").decode()
    assert "\x9b" not in line and json.loads(line)["data"] == "\x9bm"
