"""
Every example of the manual's page about clients, run as it stands there.

Only hosts, ports and paths are put in place of those that nobody could serve here. An example that is new or
whose purpose has changed has no test, and `test_every_example_has_a_test` says so.
"""

from __future__ import annotations

import io
import json
import os
import random
import socket
import ssl
import tarfile
import threading
from pathlib import Path

import pytest
import trio
import trustme
from helpers.examples import HERE, PORT, ExampleTests, listener_at, python, serving
from helpers.markdown import Example
from helpers.other_servers import RawServer, raw_server, tunnel, websockets_server
from helpers.shell import Shell, substituted
from trio_websocket import WebSocketConnection, open_websocket_url
from websockets.sync.server import ServerConnection

RECIPES = ExampleTests(["clients"])

PATIENCE = 20
"""How long something may take (seconds) before it counts as hung."""


class Authority:
    """A certificate authority that only who is told of it trusts."""

    def __init__(self, folder: Path, *names: str) -> None:
        authority = trustme.CA()
        self.file = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.file)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(*names).configure_cert(self.context)


@RECIPES.test("Ask one question, print one answer, and fail after 5 seconds of silence")
async def one_question(script: str, folder: Path) -> None:
    shell = Shell(folder)
    listener, port = await listener_at()
    changed = substituted(script, [("localhost:7890", f"localhost:{port}")])
    async with serving(listener) as server, open_websocket_url(server.url) as other:
        async with shell.start(changed) as asking:
            assert json.loads(await other.get_message()) == {"ask": "time"}
            await other.send_message("half past nine")
            await other.send_message("not asked for")
            assert await asking.end() == (0, "half past nine\n")
        impatient = substituted(changed, [("--timeout 5", "--timeout 0.1")])
        assert await shell.run(impatient) == (1, "")


@RECIPES.test("Subscribe to a feed and keep following it across restarts")
async def follow(script: str, folder: Path) -> None:
    authority = Authority(folder, "localhost")
    os.mkfifo(folder / "trades.jsonl")  # A file that a test can wait for.
    listener, port = await listener_at()
    changed = substituted(script, [("example.org", f"localhost:{port}")])
    async with Shell(folder, SSL_CERT_FILE=str(authority.file)).start(changed) as following:
        async with await trio.open_file(folder / "trades.jsonl", "rb") as trades:
            for price in 1, 2:
                async with serving(listener, authority.context) as server:
                    async with server.hub.subscribe("/feed") as feed:
                        assert json.loads(await anext(feed)) == {"subscribe": "trades"}
                    await server.hub.publish("/feed", f"price {price}")
                    trade = json.loads(await trades.readline())
                    assert (trade["data"], trade["room"]) == (f"price {price}", "/feed")
                    if price == 2:
                        following.interrupt()
                        assert await following.end() == (0, "")
                if price == 1:
                    listener, _ = await listener_at(port)


@RECIPES.test("Check a server's health: exit code 0 if the connection opens and closes properly")
async def health_check(script: str, folder: Path) -> None:
    authority = Authority(folder, "localhost")
    listener, port = await listener_at()
    changed = substituted(script, [("example.org", f"localhost:{port}")])
    shell = Shell(folder, SSL_CERT_FILE=str(authority.file))
    async with serving(listener, authority.context) as server:
        async with server.hub.subscribe("/") as room:
            assert await shell.run(changed) == (0, "")
            assert await anext(room) == "ping"
    assert await shell.run(changed) == (1, ""), "the server is gone, and the monitor must hear of it"


@RECIPES.test("Send a file as one binary message, and a stream as binary blocks")
async def upload(script: str, folder: Path) -> None:
    chance = random.Random(5)
    photo, source = chance.randbytes(200_000), chance.randbytes(300_000)
    (folder / "photo.jpg").write_bytes(photo)
    (folder / "src").mkdir()
    (folder / "src" / "main.py").write_bytes(source)
    listener, port = await listener_at()
    changed = substituted(script, [("localhost:7890", f"localhost:{port}")])
    async with serving(listener) as server:
        url = f"{server.url}upload"
        async with open_websocket_url(url) as other, open_websocket_url(url) as last:
            assert await Shell(folder).run(changed) == (0, "")
            # The server has answered their close frames, so this comes after all that they sent.
            await last.send_message("end")
            first, *blocks = await binary_until_end(other)
    assert first == photo
    assert len(blocks) > 1
    with tarfile.open(fileobj=io.BytesIO(b"".join(blocks))) as archive:
        file = archive.extractfile("src/main.py")
        assert file is not None and file.read() == source


async def binary_until_end(connection: WebSocketConnection) -> list[bytes]:
    got: list[bytes] = []
    while (message := await connection.get_message()) != "end":
        assert isinstance(message, bytes)
        got.append(message)
    return got


@RECIPES.test("Log in with a token from a file, so that it is never on the command line")
async def log_in(script: str, folder: Path) -> None:
    authority = Authority(folder, "localhost")
    (folder / ".config").mkdir()
    (folder / ".config" / "token").write_text("s3cret\n")
    heard: list[str | bytes | None] = []
    over = threading.Event()

    def listen(connection: ServerConnection) -> None:
        assert connection.request is not None
        heard.append(connection.request.headers.get("Authorization"))
        heard.extend(connection)
        over.set()

    with websockets_server(listen, ssl=authority.context) as url:
        changed = substituted(script, [("example.org", f"localhost:{url.split(':')[-1][:-1]}")])
        shell = Shell(folder, SSL_CERT_FILE=str(authority.file))
        assert await shell.run(changed, "Hello!") == (0, "")
        assert await trio.to_thread.run_sync(over.wait, PATIENCE)
    assert heard == ["Bearer s3cret", "Hello!"]


@RECIPES.test("Trust your own certificate authority, and connect through a proxy")
async def through_a_proxy(script: str, folder: Path) -> None:
    authority = Authority(folder, "inside.example")
    listener, port = await listener_at()

    async def proxy(stream: trio.SocketStream, server: RawServer) -> None:
        while b"\r\n\r\n" not in server.received:
            server.received += await stream.receive_some()
        await tunnel(stream, HERE, port)

    hosts = ("inside.example",)
    async with (
        raw_server(proxy) as between,
        serving(listener, authority.context, allowed_host=hosts) as server,
    ):
        address = between.url[len("ws://") : -1]
        changed = substituted(script, [("proxy.example:3128", address)])
        async with server.hub.subscribe("/") as room:
            assert await Shell(folder).run(changed, "Hello!") == (0, "")
            assert await anext(room) == "Hello!"
        assert between.received.startswith(b"CONNECT inside.example:443 HTTP/1.1\r\n")


@RECIPES.test("Connect over a Unix socket, to the room /lobby")
async def unix_socket(script: str, folder: Path) -> None:
    path = str(folder / "trioecho.sock")
    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(path)
    listening.listen()
    changed = substituted(script, [("/run/trioecho.sock", path)])
    async with serving(trio.SocketListener(listening)) as server:
        async with server.hub.subscribe("/lobby") as lobby, Shell(folder).start(changed) as inside:
            await inside.write("Hello!")
            assert await anext(lobby) == "Hello!"
            await server.hub.publish("/lobby", "Welcome.")
            assert await inside.line() == "Welcome."
            assert await inside.end() == (0, "")


@RECIPES.test("Greet a server and print what it sends, whatever happens to the connection")
async def greet_and_print(program: str, folder: Path) -> None:
    heard: list[str | bytes] = []

    def answer(connection: ServerConnection) -> None:
        heard.append(connection.recv())
        connection.send("Hello client!")
        connection.send("Bye.")

    with websockets_server(answer) as url:
        changed = substituted(program, [("ws://127.0.0.1:7890/", url)])
        async with python(changed, folder) as running:
            assert await running.end() == (0, "Hello client!\nBye.\n")
    assert heard == ["Hello Server!"]


@RECIPES.test("Say hello, and say in one sentence what went wrong if that fails")
async def say_hello(program: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(program, [(PORT, f"{HERE}:{port}")])
    async with serving(listener) as server, server.hub.subscribe("/") as room:
        async with python(changed, folder) as running:
            assert await running.end() == (0, "")
        assert await anext(room) == "Hello Server!"
    async with python(changed, folder) as running:
        code, said = await running.end()
    assert code == 0 and "refused" in said and said.count("\n") == 1


def test_every_example_has_a_test() -> None:
    RECIPES.check()


@pytest.mark.parametrize("example", RECIPES.examples, ids=str)
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await RECIPES.run(example, tmp_path)
