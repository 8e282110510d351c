"""Publishing by POST: who may, what becomes of a body, and what happens when the room is full."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
from helpers.http_client import asking, curl, fetch, head_of, http_url, needs_curl
from helpers.memory_listener import LockstepListener
from helpers.raw_peer import BINARY, TEXT, joined
from helpers.server import serving, unharmed
from helpers.server_process import running

from trioecho import serve
from trioecho.settings import Options

TOKEN = {"Authorization": "Bearer secret"}
TEXT_TYPE = {"Content-Type": "text/plain"}


@needs_curl
async def test_curl_publishes_to_websocket_clients_and_is_told_how_many() -> None:
    async with serving(prefix="From afar: ") as server:
        async with joined(server.url, b"/room") as one, joined(server.url, b"/room") as other:
            said = await curl(
                "-w", "%{http_code}", "-H", "Authorization: Bearer secret", "-H", "Content-Type: text/plain",
                "-d", "Hello", http_url(server.url) + "room",
            )  # fmt: skip
            assert said == '{"room": "/room", "receivers": 2}\n202'
            for peer in (one, other):
                assert await peer.read_frame() == (TEXT, b"From afar: Hello")
        nobody = await fetch(server.url, "/empty", method="POST", headers=TOKEN, body=b"")
        assert nobody.value == {"room": "/empty", "receivers": 0}


@pytest.mark.parametrize(
    ("content_type", "opcode"),
    [
        ("text/plain", TEXT),
        ("TEXT/HTML; charset=utf-8", TEXT),
        ("application/json", TEXT),
        ("application/ld+json", TEXT),
        ("application/octet-stream", BINARY),
        ("application/x-www-form-urlencoded", BINARY),
        ("", BINARY),
        (None, BINARY),
    ],
)
async def test_text_and_json_are_text_and_all_else_is_binary(content_type: str | None, opcode: int) -> None:
    headers = TOKEN if content_type is None else {**TOKEN, "Content-Type": content_type}
    async with serving() as server, joined(server.url) as peer:
        for body in ("{}é".encode(), b"", bytes(70_000)):
            assert (await fetch(server.url, method="POST", headers=headers, body=body)).status == 202
            assert await peer.read_frame() == (opcode, body)


@needs_curl
async def test_a_body_of_any_size_up_to_the_limit_arrives_however_it_is_sent(tmp_path: Path) -> None:
    async with serving(max_message_size=2**20) as server, joined(server.url) as peer:
        file = tmp_path / "body"
        for size, chunks in ((2**20, []), (2**20, ["-H", "Transfer-Encoding: chunked"])):
            file.write_bytes(bytes(size))
            given = ["-H", "Authorization: Bearer secret", "--data-binary", f"@{file}"]
            assert await curl(*given, *chunks, http_url(server.url)) == '{"room": "/", "receivers": 1}\n'
            assert await peer.read_frame() == (BINARY, bytes(size))


NOT_UTF8 = {**TOKEN, **TEXT_TYPE}
CHUNKED = {**TOKEN, "Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (head_of(method="POST", headers=TOKEN), b"", 411),
        (head_of(method="POST", headers={**TOKEN, "Content-Length": "1001"}), b"", 413),
        (head_of(method="POST", headers=CHUNKED), b"3e9\r\n" + bytes(1001) + b"\r\n", 413),
        (head_of(method="POST", headers=NOT_UTF8, body=b"\xff"), b"\xff", 400),
        (head_of(method="POST", headers=CHUNKED), b"xyz\r\n", 400),
        (head_of(method="POST", headers={**TOKEN, "Content-Length": "9"}), b"short", 408),
    ],
)
async def test_what_may_not_be_published_reaches_nobody(head: bytes, body: bytes, status: int) -> None:
    limits = {"max_message_size": 1000, "message_timeout": 0.2}
    async with unharmed(**limits) as server, joined(server.url) as listener:  # type: ignore[arg-type]
        async with asking(server.url) as peer:
            await peer.send(head + body)
            answer = await peer.read_answer()
            assert answer.status == status and answer.text.count("\n") == 1
        await server.server.hub.publish("/", "nothing before this")
        assert await listener.read_frame() == (TEXT, b"nothing before this")


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked_only_if_it_may_publish() -> None:
    expect = {"Expect": "100-continue", "Content-Length": "2"}
    async with serving(token={"ada": "secret"}) as server, asking(server.url) as peer:
        await peer.send(head_of(method="POST", headers={**TOKEN, **expect}))
        assert await peer.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"ok")
        assert (await peer.read_answer()).status == 202
        await peer.send(head_of(method="POST", headers=expect))
        answer = await peer.read_answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")


async def test_a_post_that_comes_too_late_in_a_shutdown_is_told_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its body arrives when its room has begun to drain, which a client that reads nothing holds up."""
    options = Options(max_message_size=1000, max_pending_bytes=1000)
    async with trio.open_nursery() as nursery:
        listener = LockstepListener()
        server = await nursery.start(partial(serve, listeners=[listener], **options))
        async with server.hub.subscribe("/room") as subscription:
            for _ in range(3):
                await server.hub.publish("/room", bytes(1000))
            stream = await listener.open()
            await stream.send_all(head_of("/room", method="POST", headers=TOKEN, body=b"late") + b"l")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(server.shutdown)
            await trio.testing.wait_all_tasks_blocked()
            await stream.send_all(b"ate")
            answer = (await stream.receive_some()).decode()
            assert answer.startswith("HTTP/1.1 503 ") and "\r\nRetry-After: 5\r\n" in answer
            assert "did not take the message" in answer
            assert [message async for message in subscription] == 3 * [bytes(1000)]


async def test_a_full_room_makes_a_publisher_wait_at_most_for_the_stall_limit(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    listener = LockstepListener()
    options = Options(max_message_size=1000, max_pending_bytes=1000)
    server = await nursery.start(partial(serve, listeners=[listener], **options))

    async def read_slowly() -> None:
        # Each time just before the stall limit is over, so it may stay, and the room is held up again.
        async with server.hub.subscribe("/room") as subscription:
            nursery.start_soon(publish_without_end)
            while True:
                await trio.sleep(4)
                await anext(subscription)

    async def publish_without_end() -> None:
        while True:
            await server.hub.publish("/room", bytes(1000))

    nursery.start_soon(read_slowly)
    await trio.testing.wait_all_tasks_blocked()
    began = trio.current_time()
    stream = await listener.open()
    await stream.send_all(head_of("/room", method="POST", headers=TOKEN, body=b"x") + b"x")
    answer = (await stream.receive_some()).decode()
    assert answer.startswith("HTTP/1.1 503 ") and "\r\nRetry-After: 1\r\n" in answer
    assert trio.current_time() - began == pytest.approx(5.0)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["variable", "file", "option"])
async def test_the_token_comes_from_the_environment_a_file_or_the_command_line(
    how: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("ada secret\n")
    options = {"option": ["--token", "ada=secret"], "file": ["--token-file", str(file)]}
    variables = {"TRIOECHO_TOKENS": "ada=secret"} if how == "variable" else {}
    async with running(*options.get(how, []), variables=variables) as server:
        assert (await fetch(server.url, method="POST", headers=TOKEN, body=b"x")).status == 202
        assert "secret" not in "\n".join(server.lines)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--token", "no-name"], "--token must be NAME=VALUE"),
        (["--token", "ada=two words"], "--token number 1 must have a token"),
        (["--token-file", "/nowhere/token"], "--token-file /nowhere/token cannot be read"),
        (["--token-file", "/dev/null"], "--token-file /dev/null is not an ordinary file"),
        (["--token-cookie", "session"], "--token-cookie needs tokens"),
        (["--origin", "null"], "--origin must not be null"),
        (["--allowed-host", "a b"], "--allowed-host must be a host"),
        (["--room", "news"], "--room must begin with a slash"),
        (["--jwt-leeway", "601"], "--jwt-leeway must be seconds from 0 to 600"),
        (["--jwt-issuer", "x"], "--jwt-issuer needs a key"),
        (["--jwt-audience", "x"], "--jwt-audience needs a key"),
        (["--jwt-algorithm", "ES256"], "--jwt-algorithm needs a key"),
        (["--jwt-key-file", "/nowhere/key"], "--jwt-key-file /nowhere/key cannot be read"),
        (["--jwt-jwks-file", "/nowhere/keys"], "--jwt-jwks-file /nowhere/keys cannot be read"),
        (["--metrics-address", "nowhere"], "--metrics-address must be HOST:PORT"),
    ],
)
async def test_a_token_that_is_none_is_one_sentence(options: list[str], problem: str) -> None:
    command = [sys.executable, "-m", "trioecho", "serve", "--port", "0", *options]
    done = await trio.run_process(command, capture_stderr=True, check=False)
    assert isinstance(done, subprocess.CompletedProcess)
    said = done.stderr.decode()
    assert done.returncode in (1, 2)
    assert said.startswith(f"trioecho: {problem}") and said.count("\n") == 1
