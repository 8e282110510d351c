"""
Every example of the manual's other pages, run as it stands there: shell lines, programs, a configuration.

Only hosts, ports and paths are put in place of those that nobody could serve here. An example that is new or
whose purpose has changed has no test, and `test_every_example_has_a_test` says so.
"""

from __future__ import annotations

import json
import re
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from helpers.browser import free_port
from helpers.examples import HERE, PORT, ExampleTests, listener_at, python, serving
from helpers.http_client import fetch
from helpers.markdown import PAGES, Example
from helpers.shell import Shell, substituted
from trio_websocket import WebSocketConnection, open_websocket_url

import trioecho

EXAMPLES = ExampleTests(PAGES.keys() - {"README", "clients"})

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl: apt-get install curl")


@asynccontextmanager
async def served(script: str, folder: Path, *changes: tuple[str, str]) -> AsyncIterator[tuple[str, str]]:
    """Run a script that starts a server, on a free port: where it listens, and the line that says so."""
    changed = substituted(script, [("trioecho serve", "trioecho serve --port 0"), *changes])
    async with Shell(folder).start(f"exec 2>&1\n{changed}") as server:
        line = await server.line()
        (url,) = re.findall(r"ws://[0-9.:]+/", line)
        yield url, line
        server.interrupt()
        code, log = await server.end()
        assert code == 0 and "Traceback" not in log


async def pair(one: WebSocketConnection, other: WebSocketConnection, text: str) -> tuple[str, ...]:
    """Let each say something; return what each heard first."""
    await one.send_message(text)
    await other.send_message(f"{text} too")
    return str(await one.get_message()), str(await other.get_message())


@EXAMPLES.test("Serve on ws://127.0.0.1:7890/ until Ctrl-C")
async def serve_it(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            assert await pair(one, other, "me") == ("me too", "me")


@EXAMPLES.test("An echo server")
async def echo_server(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            assert await pair(one, other, "me") == ("me", "me too")


@EXAMPLES.test("A chat: tell messages of others from your own")
async def chat(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        async with open_websocket_url(url) as one, open_websocket_url(url) as other:
            assert await pair(one, other, "me") == ("Someone said: me too", "Someone said: me")


@EXAMPLES.test("Log JSON, for a machine to read")
async def json_log(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, line):
        entry = json.loads(line)
        assert (entry["event"], entry["url"]) == ("listening", url)


@EXAMPLES.test("Prices: never wait for a slow client, and let it skip to the latest")
async def prices(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        stats = await fetch(url, headers={"Accept": "application/json"})
        assert stats.value["when_slow"] == "drop-oldest"


@EXAMPLES.test("Listen to a room with curl")
async def listen(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}")])
    async with serving(listener) as server, Shell(folder).start(changed) as curl:
        while await curl.line() != ": listening":
            pass
        await server.hub.publish("/news", "Hello")
        assert [await curl.line(), await curl.line()] == ["", "data: Hello"]


@EXAMPLES.test("Start a server that takes messages by POST")
async def start_for_posts(script: str, folder: Path) -> None:
    headers = {"Authorization": "Bearer secret", "Content-Type": "text/plain"}
    async with served(script, folder) as (url, _), open_websocket_url(f"{url}news") as client:
        assert (await fetch(url, "/news", method="POST", body=b"Hello")).status == 401
        answer = await fetch(url, "/news", method="POST", body=b"Hello", headers=headers)
        assert (answer.status, answer.value) == (202, {"room": "/news", "receivers": 1})
        assert await client.get_message() == "Hello"


@EXAMPLES.test("Publish a message with curl")
async def publish(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}")])
    async with serving(listener, publish_token="secret") as server, server.hub.subscribe("/news") as news:
        code, answer = await Shell(folder).run(changed)
        assert (code, json.loads(answer)) == (0, {"room": "/news", "receivers": 1})
        assert await anext(news) == "Hello"


@EXAMPLES.test("Who is in a room, and what has passed through it")
async def who_is_there(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}")])
    async with serving(listener) as server, server.hub.subscribe("/news"):
        code, answer = await Shell(folder).run(changed)
        assert (code, json.loads(answer)["subscribers"]) == (0, 1)


@EXAMPLES.test("Keep health checks and metrics away from clients")
async def metrics_elsewhere(script: str, folder: Path) -> None:
    elsewhere = f"{HERE}:{free_port()}"
    async with served(script, folder, (f"{HERE}:9100", elsewhere)) as (url, _):
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await fetch(f"http://{elsewhere}", path)).status == 200
            assert "one of its rooms" in (await fetch(url, path)).text


@EXAMPLES.test("A server, a client of it, and the application itself in one room")
async def embed(program: str, folder: Path) -> None:
    async with python(program, folder) as running:
        assert await running.end() == (0, "from a client\nfrom the application\n")


async def once_there(port: int) -> None:
    """Wait until somebody listens on a port."""
    while True:
        try:
            stream = await trio.open_tcp_stream(HERE, port)
        except OSError:
            await trio.sleep(0.05)
        else:
            return await stream.aclose()


@EXAMPLES.test("A server that also answers plain HTTP at /hello")
async def http_handler(program: str, folder: Path) -> None:
    changed = substituted(program, [("port=7890", f"port={(port := free_port())}")])
    async with python(changed, folder):
        await once_there(port)
        assert (await fetch(f"http://{HERE}:{port}", "/hello?trio")).text == "Hello, trio!\n"
        assert (await fetch(f"http://{HERE}:{port}", "/hello")).text == "Hello, stranger!\n"


@EXAMPLES.test("Serve over TLS, with a certificate and its key from files")
async def serve_tls(program: str, folder: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert(HERE)
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    changed = substituted(program, [("(7890,", "(0,")])
    async with python(changed, folder) as running:
        url = await running.line()
        assert url.startswith("wss://127.0.0.1:")
        options = trioecho.client.Options(ssl_context=context)
        async with trioecho.open_client(url, **options) as one, trioecho.open_client(url, **options) as other:
            await one.ping()
            await other.send("over TLS")
            assert await one.receive() == "over TLS"


QUICK = "--duration 0.2 --warmup 0"


@EXAMPLES.test("Load a server with 50 subscribers for 5 seconds")
async def load(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}"), ("bench ", f"bench {QUICK} ")])
    async with serving(listener):
        code, report = await Shell(folder).run(changed)
    assert code == 0 and report.endswith("every message reached everyone once, in order\n")


@EXAMPLES.test("Measure latency at a fixed rate, and print JSON")
async def latency(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}"), ("bench ", f"bench {QUICK} ")])
    async with serving(listener):
        code, report = await Shell(folder).run(changed)
    assert code == 0 and json.loads(report)["plan"]["rate"] == 100


@EXAMPLES.test("Configure the server without a command line")
async def configure(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, line):
        assert json.loads(line)["event"] == "listening"
        stats = await fetch(url, headers={"Accept": "application/json"})
        assert stats.value["when_slow"] == "disconnect"


CONFIGURATION = """
daemon off;
pid {folder}/pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port};
        {server}
    }}
}}
"""


@EXAMPLES.test(
    "Within http { }: what a WebSocket needs in its Connection header",
    "Within server { }: the rooms under /chat/",
)
async def behind_nginx(_: str, folder: Path) -> None:
    """Both parts at once, because neither does anything without the other."""
    if NGINX is None:
        pytest.skip("needs nginx: apt-get install nginx")
    # Started by root, nginx gives its workers away to a user who must get in here.
    await trio.Path(folder).chmod(0o755)
    http, server = [example.code for example in EXAMPLES.examples if example.language == "nginx"]
    listener, upstream = await listener_at()
    server = substituted(server, [(PORT, f"{HERE}:{upstream}")])
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=(port := free_port()), http=http, server=server))
    async with serving(listener, publish_token="secret") as behind, trio.open_nursery() as nursery:
        await nursery.start(trio.run_process, [NGINX, "-c", str(file), "-p", str(folder), "-e", "stderr"])
        await once_there(port)
        url, address = f"ws://{HERE}:{port}/chat/news", f"http://{HERE}:{port}"
        async with open_websocket_url(url) as client, behind.hub.subscribe("/news") as news:
            await client.send_message("over nginx")
            assert await anext(news) == "over nginx"
            headers = {"Authorization": "Bearer secret", "Content-Type": "text/plain"}
            answer = await fetch(address, "/chat/news", method="POST", body=b"posted", headers=headers)
            assert answer.status == 202
            assert await client.get_message() == "posted"
        html = await fetch(address, "/chat/news", headers={"Accept": "text/html"})
        assert html.text.startswith("<!doctype html>")
        nursery.cancel_scope.cancel()


def test_every_example_has_a_test() -> None:
    EXAMPLES.check()


def parameter(example: Example) -> Any:
    marks = [needs_curl] if "curl " in example.code else []
    return pytest.param(example, marks=marks, id=str(example))


@pytest.mark.parametrize("example", [parameter(example) for example in EXAMPLES.examples])
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await EXAMPLES.run(example, tmp_path)
