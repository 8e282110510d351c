"""
Every example of the manual's other pages, run as it stands there: shell lines and programs.

Only hosts, ports and paths are put in place of those that nobody could serve here. An example that is new or
whose purpose has changed has no test, and `test_every_example_has_a_test` says so.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from helpers.browser import free_port
from helpers.examples import HERE, PORT, ExampleTests, listener_at, once_there, python, serving
from helpers.http_client import fetch
from helpers.markdown import PAGES, Example
from helpers.raw_peer import joined
from helpers.shell import Shell, substituted
from trio_websocket import WebSocketConnection, open_websocket_url
from websockets.sync.client import connect

import trioecho
from trioecho.access.tokens import TokenTable

ELSEWHERE = {
    "README",
    "clients",
    "containers",
    "deploying",
    "embedding",
    "engine",
    "monitoring",
    "presence",
    "security",
}

EXAMPLES = ExampleTests(PAGES.keys() - ELSEWHERE)

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


@EXAMPLES.test("A public chat: nobody needs more than this")
async def public_chat(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        answers = [await fetch(url, method="POST", body=b"Hello") for _ in range(22)]
        assert [answer.status for answer in answers[:20]] == [202] * 20
        assert answers[-1].status == 429


@EXAMPLES.test("A small machine: hold at most 64 MiB for clients that do not keep up")
async def small_machine(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        metrics = await fetch(url, "/metrics")
        assert "\ntrioecho_held_bytes 0.0\n" in metrics.text


@EXAMPLES.test(
    "Fewer bytes for more time, and nothing for small messages",
    "Some rooms without compression",
)
async def compressing(script: str, folder: Path) -> None:
    """A client that offers compression has it in the room /, and not in the room /admin of the second."""

    def agreed(url: str) -> bool:
        with connect(url) as client:
            return bool(client.protocol.extensions)

    async with served(script, folder) as (url, _):
        assert await trio.to_thread.run_sync(agreed, url)
        in_private = await trio.to_thread.run_sync(agreed, f"{url}admin")
        assert in_private == ("--no-compress-room" not in script)


@EXAMPLES.test("Restart a busy server without a rush on the next one")
async def restart(script: str, folder: Path) -> None:
    changed = substituted(script, [("trioecho serve", "trioecho serve --port 0")])
    async with Shell(folder).start(f"exec 2>&1\n{changed}") as server:
        (url,) = re.findall(r"ws://[0-9.:]+/", await server.line())
        async with trioecho.open_client(url) as client:
            server.interrupt()
            with pytest.raises(trioecho.ConnectionClosed) as caught:
                await client.receive()
            assert caught.value.code == 1012
        code, log = await server.end()
        assert code == 0 and "draining connections=1 seconds=20" in log


@EXAMPLES.test("Prices: never wait for a slow client, and let it skip to the latest")
async def prices(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        stats = await fetch(url, headers={"Accept": "application/json"})
        assert stats.value["when_slow"] == "drop-oldest"


KIND = {"Content-Type": "application/octet-stream"}


@EXAMPLES.test(
    "Wait for clients that have trouble, but for no more than 5 % of the time",
    "Everything must arrive: wait for each, whatever it costs the others",
)
async def patient(script: str, folder: Path) -> None:
    """A client that never reads, in a room that is busy, is there for a while or gone at once."""
    async with served(script, folder) as (url, _), joined(url, stuck=True), joined(url) as reader:
        for _ in range(20):
            with trio.move_on_after(1) as waiting:
                assert (
                    await fetch(url, "/", method="POST", body=bytes(1_000_000), headers=KIND)
                ).status == 202
                await reader.read_frame()
            if waiting.cancelled_caught:
                break
        stats = await fetch(url, headers={"Accept": "application/json"})
        assert stats.value["subscribers"] == (2 if "--stall-share 1" in script else 1)


@EXAMPLES.test("Listen to a room with curl")
async def listen(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}")])
    async with serving(listener) as server, Shell(folder).start(changed) as curl:
        while await curl.line() != ": listening":
            pass
        await server.hub.publish("/news", "Hello")
        said = [await curl.line() for _ in range(5)]
        epoch = said[1].removeprefix("id: ").removesuffix("-0")
        assert said == ["", f"id: {epoch}-0", "", f"id: {epoch}-1", "data: Hello"]


@EXAMPLES.test("Remember up to 1,000 messages of each room for an hour")
async def remember_more(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        for number in range(150):
            await fetch(url, "/news", method="POST", body=str(number).encode())
        lines = (await fetch(url, "/news", headers={"Accept": "application/x-ndjson"})).text.splitlines()
        assert len(lines) == 150


@EXAMPLES.test("Remember nothing, and still say how many were missed")
async def remember_nothing(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        async with open_websocket_url(f"{url}news", subprotocols=["trioecho.v1"]) as client:
            head = json.loads(await client.get_message())
        for _ in range(3):
            await fetch(url, "/news", method="POST", body=b"missed")
        where = f"{url}news?after={head['epoch']}-{head['offset']}"
        async with open_websocket_url(where, subprotocols=["trioecho.v1"]) as client:
            assert json.loads(await client.get_message())["missed"] == 3


@EXAMPLES.test("Drop messages for slow clients, and tell them")
async def tell_missed(script: str, folder: Path) -> None:
    changed = script.replace("trioecho serve", "trioecho serve --history 0")
    async with served(changed, folder) as (url, _), open_websocket_url(f"{url}news") as there:
        async with open_websocket_url(f"{url}news?after=k3x9f2aa-7") as client:
            assert await client.get_message() == '{"missed": null}'
            await client.send_message("hello")
            assert await there.get_message() == "hello"


@EXAMPLES.test("Read what a room remembers", "Read its last two messages")
async def read_it(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}")])
    async with serving(listener) as server:
        for text in ("one", "two", "three"):
            await server.hub.publish("/news", text)
        async with Shell(folder).start(changed) as curl:
            code, said = await curl.end()
        assert code == 0
        texts = [json.loads(line)["data"] for line in said.splitlines()]
        assert texts == (["two", "three"] if "last=2" in script else ["one", "two", "three"])


@EXAMPLES.test(
    "Show what is said in a room, and what is missing, in any browser",
    "Listen to a room, and lose nothing when the connection is lost",
    "Listen with the websockets library, and lose nothing",
)
async def lose_nothing(script: str, folder: Path) -> None:
    """They run in test_jitter.py, where their connections are lost again and again."""
    jitter = (Path(__file__).parent / "test_jitter.py").read_text()
    (title,) = [example.title for example in EXAMPLES.examples if example.code == script]
    assert f'"{title}"' in jitter


@EXAMPLES.test("Start a server that asks for a token")
async def start_for_posts(script: str, folder: Path) -> None:
    bearer = ("Authorization", "Bearer 9f3c2a7e51d04b68a1c5")
    headers = {**dict([bearer]), "Content-Type": "text/plain"}
    async with (
        served(script, folder) as (url, _),
        open_websocket_url(f"{url}news", extra_headers=[(b"Authorization", bearer[1].encode())]) as client,
    ):
        assert (await fetch(url, "/news", method="POST", body=b"Hello")).status == 401
        answer = await fetch(url, "/news", method="POST", body=b"Hello", headers=headers)
        assert (answer.status, answer.value) == (202, {"room": "/news", "receivers": 1})
        assert await client.get_message() == "Hello"


@EXAMPLES.test("Publish a message with curl")
async def publish(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    changed = substituted(script, [(PORT, f"{HERE}:{port}")])
    async with (
        serving(listener, token={"ada": "9f3c2a7e51d04b68a1c5"}) as server,
        server.hub.subscribe("/news") as news,
    ):
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


@EXAMPLES.test("Start a server with a file of tokens")
async def file_of_tokens(script: str, folder: Path) -> None:
    async with served(script, folder) as (url, _):
        for token, room, status in (
            ("9f3c2a7e51d04b68a1c5", "/news", 202),
            ("9f3c2a7e51d04b68a1c5", "/team/a/b", 202),
            ("9f3c2a7e51d04b68a1c5", "/sensors/7", 403),
            ("8c1d0be2f7a94e35b6d2", "/sensors/7", 202),
            ("8c1d0be2f7a94e35b6d2", "/news", 403),
            ("another", "/news", 401),
        ):
            headers = {**KIND, "Authorization": f"Bearer {token}"}
            assert (await fetch(url, room, method="POST", body=b"1", headers=headers)).status == status


@EXAMPLES.test("A server whose application says who may come in")
async def own_authorize(program: str, folder: Path) -> None:
    changed = substituted(program, [("port=7890", f"port={(port := free_port())}")])
    async with python(changed, folder):
        await once_there(port)
        for key, room, status in (("sesame", "/cave/1", 202), ("sesame", "/", 403), ("rice", "/cave/1", 403)):
            headers = {**KIND, "X-Key": key}
            answer = await fetch(f"http://{HERE}:{port}", room, method="POST", body=b"1", headers=headers)
            assert answer.status == status


@EXAMPLES.test("A new token that nobody can guess, in a file that nobody else can read")
async def new_token(script: str, folder: Path) -> None:
    for number in range(2):
        assert await Shell(folder).run(script.replace("ada", f"ada{number}")) == (0, "")
    tokens = folder / "tokens"
    assert tokens.stat().st_mode & 0o077 == 0
    first, second = [line.split() for line in tokens.read_text().splitlines()]
    assert len(first[1]) >= 32 and first[1] != second[1]
    assert TokenTable(path=tokens).warnings == ()


@EXAMPLES.test("The field for a token that the file should not hold: its SHA-256")
async def hashed_token(script: str, folder: Path) -> None:
    code, field = await Shell(folder).run(script)
    (folder / "tokens").write_text(f"ada {field}")
    table = TokenTable(path=folder / "tokens")
    assert code == 0 and (ada := table.find("9f3c2a7e51d04b68a1c5")) is not None and ada.name == "ada"


@EXAMPLES.test("A secret to sign JWTs with (HS256)")
async def jwt_secret(script: str, folder: Path) -> None:
    jwt = pytest.importorskip("jwt")
    assert await Shell(folder).run(script) == (0, "")
    secret = folder / "secret"
    port = free_port()
    claims = {"sub": "ada", "rooms": ["/team/**"], "publish": True, "subscribe": ["/team/a"]}
    signed = jwt.encode(claims, secret.read_text().strip(), "HS256")
    headers = {"Authorization": f"Bearer {signed}"}
    async with Shell(folder).start(f"trioecho serve --port {port} --jwt-key-file secret 2>&1") as server:
        assert "listening" in await server.line()
        statuses = {
            room: (
                await fetch(f"http://{HERE}:{port}", room, method="POST", headers=headers, body=b"")
            ).status
            for room in ("/team/a", "/team/a/b", "/team", "/news")
        }
        assert statuses == {"/team/a": 202, "/team/a/b": 202, "/team": 403, "/news": 403}
        server.interrupt()
        assert "warning" not in (await server.end())[1]


@EXAMPLES.test("A certificate to try it with: clients trust it with --cacert cert.pem")
async def own_certificate(script: str, folder: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt-get install openssl")
    shell = Shell(folder)
    code, _ = await shell.run(f"exec 2>&1\n{script}")
    assert code == 0 and (folder / "key.pem").stat().st_mode & 0o077 == 0
    port = free_port()
    serve = f"trioecho serve --port {port} --tls-cert cert.pem --tls-key key.pem"
    async with shell.start(f"exec 2>&1\n{serve}") as server:
        assert f"wss://{HERE}:{port}/" in await server.line()
        for host in ("localhost", HERE):
            assert await shell.run(f"trioecho send --cacert cert.pem wss://{host}:{port}/ hello") == (0, "")
        server.interrupt()
        assert (await server.end())[0] == 0


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


@EXAMPLES.test("Cut all clients of a room but a hundred, and let them come back")
async def storm(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    fewer = ("--subscribers 5000", "--subscribers 50")
    changed = substituted(script, [(PORT, f"{HERE}:{port}"), ("bench ", f"bench {QUICK} "), fewer])
    async with serving(listener):
        code, report = await Shell(folder).run(changed)
    assert code == 0 and "storm: 50 clients were cut; 50 were connected again" in report


@EXAMPLES.test("Hold idle connections, more than one address has ports for")
async def idle(script: str, folder: Path) -> None:
    listener, port = await listener_at()
    fewer = ("--subscribers 30000", "--subscribers 30")
    changed = substituted(script, [(PORT, f"{HERE}:{port}"), ("bench ", f"bench {QUICK} "), fewer])
    async with serving(listener):
        code, report = await Shell(folder).run(changed)
    assert code == 0 and report.endswith("every connection was made and kept\n")


def test_every_example_has_a_test() -> None:
    EXAMPLES.check()


def parameter(example: Example) -> Any:
    marks = [needs_curl] if "curl " in example.code else []
    return pytest.param(example, marks=marks, id=str(example))


@pytest.mark.parametrize("example", [parameter(example) for example in EXAMPLES.examples])
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await EXAMPLES.run(example, tmp_path)
