"""Every program of the manual's page on embedding, run as it stands there, on ports that are free."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path

import pytest
import trio
import trustme
from helpers.browser import free_port
from helpers.examples import HERE, ExampleTests, once_there, python
from helpers.http_client import fetch
from helpers.markdown import Example
from helpers.shell import Shell, substituted

import trioecho
from trioecho.cli.example import example_names

EXAMPLES = ExampleTests(["embedding"])


@EXAMPLES.test("A server, a client of it, and the application itself in one room")
async def embed(program: str, folder: Path) -> None:
    async with python(program, folder) as running:
        assert await running.end() == (0, "from a client\nfrom the application\n")


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


@EXAMPLES.test("A trio program with a sensor, which every browser can watch")
async def live_page(program: str, folder: Path) -> None:
    changed = substituted(program, [("port=7890", f"port={(port := free_port())}")])
    async with python(changed, folder) as running:
        await once_there(port)
        page = await fetch(f"http://{HERE}:{port}", "/sensor", headers={"Accept": "text/html"})
        assert page.status == 200 and "WebSocket" in page.text
        async with trioecho.open_client(f"ws://{HERE}:{port}/sensor") as client:
            assert str(await client.receive()).endswith(" degrees")
        running.interrupt()
        assert await running.end() == (0, "")


@EXAMPLES.test(
    "What there is: a live plot, a chat with names, tokens, a ticker, a bridge, a bot, calls, asyncio",
    "The live plot as a file of your own",
)
async def examples_by_command(script: str, folder: Path) -> None:
    code, said = await Shell(folder).run(script)
    assert code == 0
    if "--show" in script:
        assert "async def sensor" in (folder / "plot.py").read_text()
    else:
        assert [line.split()[0] for line in said.splitlines()] == example_names()


@EXAMPLES.test("A hub under Hypercorn (pip install hypercorn), beside whatever else the site has")
async def under_hypercorn(program: str, folder: Path) -> None:
    changed = substituted(program, [("7890", str(port := free_port()))])
    async with python(changed, folder):
        await once_there(port)
        url = f"ws://{HERE}:{port}/a"
        async with trioecho.open_client(url) as one, trioecho.open_client(url) as other:
            await one.send("hello")
            assert await other.receive() == "hello"


@EXAMPLES.test("A chat in which everybody has a name, and only who has one comes in")
async def chat_with_names(program: str, folder: Path) -> None:
    changed = substituted(program, [("port=7890", f"port={(port := free_port())}")])
    async with python(changed, folder):
        await once_there(port)
        url = f"ws://{HERE}:{port}/"
        with pytest.raises(trioecho.Rejected, match="Say who you are"):
            async with trioecho.open_client(url):
                pass
        async with (
            trioecho.open_client(f"{url}?name=ann") as ann,
            trioecho.open_client(f"{url}?name=bob") as bob,
        ):
            assert [await ann.receive(), await bob.receive()] == ["Welcome, ann!", "Welcome, bob!"]
            await ann.send("Hello!")
            assert await bob.receive() == "ann: Hello!"


@EXAMPLES.test("Two doors to the same rooms: one for everybody, and one on this machine that needs no token")
async def two_doors(program: str, folder: Path) -> None:
    public, internal = free_port(), free_port()
    changed = substituted(
        program,
        [("7890", str(public)), ("7891", str(internal)), ("0.0.0.0", HERE)],
    )
    async with python(changed, folder) as running:
        await once_there(internal)
        with pytest.raises(trioecho.Rejected):
            async with trioecho.open_client(f"ws://{HERE}:{public}/news"):
                pass
        headers = {"Content-Type": "text/plain", "Authorization": "Bearer 9f3c2a7e51d04b68a1c5"}
        async with trioecho.open_client(f"ws://{HERE}:{internal}/news") as client:
            await fetch(f"http://{HERE}:{public}", "/news", method="POST", body=b"hello", headers=headers)
            assert await client.receive() == "hello"
            await client.send("from within")
            assert [await running.line(), await running.line()] == ["ada: 'hello'", "None: 'from within'"]


@EXAMPLES.test('Remote procedure calls: a client sends {"id": 1, "add": [2, 3]} and gets {"id": 1, "sum": 5}')
async def remote_calls(program: str, folder: Path) -> None:
    changed = substituted(program, [("port=7890", f"port={(port := free_port())}")])
    async with python(changed, folder):
        await once_there(port)
        async with trioecho.open_client(f"ws://{HERE}:{port}/rpc") as client:
            await client.send('{"id": 1, "add": [2, 3]}')
            assert json.loads(await client.receive()) == {"id": 1, "sum": 5}


@EXAMPLES.test("A test of a hook, for pytest with pytest-trio (trio_mode = true)")
async def a_test_of_a_hook(program: str, folder: Path) -> None:
    (folder / "test_hook.py").write_text(program)
    options = ["-q", "-W", "error", "-o", "trio_mode=true", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, str(folder)]
    done = await trio.run_process(command, capture_stdout=True, check=False, cwd=folder)
    assert b"1 passed" in done.stdout, done.stdout


@EXAMPLES.test("See what a server does with a stuck client and one that vanishes, in no time")
async def in_no_time(program: str, folder: Path) -> None:
    async with python(program, folder) as running:
        code, said = await running.end()
    assert code == 0
    assert said.splitlines()[-1].startswith("True {") and "'dead': 1" in said


def test_every_example_has_a_test() -> None:
    EXAMPLES.check()


@pytest.mark.parametrize("example", EXAMPLES.examples, ids=str)
async def test_an_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    await EXAMPLES.run(example, tmp_path)
