"""The command against other people's servers, a server that is restarted, and untrusted certificates."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trio
import trustme
from helpers.other_servers import ENVIRONMENT, command, run_here, websockets_server
from websockets.sync.server import ServerConnection

AIOHTTP = """
from aiohttp import web
async def echo(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is web.WSMsgType.TEXT: await socket.send_str(message.data)
        else: await socket.send_bytes(message.data)
    return socket
async def main():
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
import asyncio
app = web.Application()
app.router.add_get("/", echo)
asyncio.run(main())
"""

NODE = """
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => console.log(server.address().port));
server.on("connection", (s) => s.on("message", (data, binary) => s.send(data, { binary })));
"""


def server_command(which: str) -> list[str]:
    if which == "aiohttp":
        pytest.importorskip("aiohttp")
        return [*command()[:1], "-c", AIOHTTP]
    node = shutil.which("node")
    if node is None or subprocess.run([node, "-e", 'require("ws")'], capture_output=True).returncode:
        pytest.skip("Node's ws is not installed (NODE_PATH)")
    return [node, "-e", NODE]


@pytest.mark.parametrize("which", ["aiohttp", "node"])
def test_other_peoples_servers(which: str) -> None:
    with subprocess.Popen(server_command(which), stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            url = f"ws://127.0.0.1:{int(server.stdout.readline())}/"
            assert run_here("client", url, "--count=3", stdin="one\n\nthrée\n")[:2] == (
                0,
                "one\n\nthrée\n".encode(),
            )
            big = os.urandom(500_000).hex()
            assert run_here("client", url, "--binary", "--raw", "--count=1", stdin=b"\0\xff")[1] == b"\0\xff"
            code, out, _ = run_here("client", url, "--json", "--count=1", stdin=f'"{big}"')
            assert code == 0 and big.encode() in out
        finally:
            server.kill()


async def test_a_server_that_is_restarted(tmp_path: Path) -> None:
    """What is typed and what arrives go on with the next server, and the person is told of the gap."""
    got: list[str | bytes] = []

    def room(connection: ServerConnection) -> None:
        for message in connection:
            got.append(message)
            connection.send("got " + str(message))

    async def printed(text: bytes) -> None:
        assert process.stdout is not None
        seen = b""
        while text not in seen:
            seen += await process.stdout.receive_some()

    with websockets_server(room) as url:
        port = url.rsplit(":", 1)[1].rstrip("/")
        process = await trio.lowlevel.open_process(
            command("client", url, "--greet=it is me", "--reconnect", "--reconnect-delay=0.05", "--stay"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert process.stdout is not None and process.stdin is not None and process.stderr is not None
        await printed(b"got it is me\n")
        await process.stdin.send_all(b"first\n")
        await printed(b"got first\n")
    with websockets_server(room, port=int(port)):
        await printed(b"got it is me\n")
        await process.stdin.send_all(b"second\n")
        await printed(b"got second\n")
        process.terminate()
        assert await process.wait() == 0
    told = (await process.stderr.receive_some()).decode()
    for stream in (process.stdin, process.stdout, process.stderr):
        await stream.aclose()
    assert got == ["it is me", "first", "it is me", "second"]
    assert f"{url} closed the connection: 1001 (going away); attempt 1 in " in told
    assert f"reconnected to {url} after " in told


def test_a_certificate_that_is_not_trusted_and_what_helps(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with websockets_server(lambda connection: connection.send("hi"), ssl=context) as url:
        url = url.replace("ws:", "wss:")
        code, out, err = run_here("listen", url)
        assert (code, out) == (1, b"")
        assert err.startswith("trioecho: the certificate of 127.0.0.1 is not trusted: ")
        assert err.endswith("(--cacert FILE trusts its issuer, --insecure trusts anyone)\n")
        assert run_here("listen", url, "--quiet", f"--cacert={tmp_path}/ca.pem") == (0, b"hi\n", "")
        assert run_here("listen", url, "--quiet", "--insecure") == (
            0,
            b"hi\n",
            "--insecure: anyone on the network path can read and change what is sent\n",
        )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--json", "--null"], "--json, --null and --raw exclude each other"),
        (["--json", "--binary"], "--binary has no meaning with --json"),
        (["--timeout=0"], "--timeout must be more than 0 seconds"),
        (["--count=0"], "--count"),
        (["--header=x"], "--header must be 'NAME: VALUE', with a colon between"),
        (["--subprotocol=a b"], "--subprotocol must be names"),
        (["--max-message-size=1kg"], "'1kg' is not a size"),
        (["--max-message-size=0"], "--max-message-size must be a whole number"),
        (["--connect-timeout=0"], "--connect-timeout must be seconds from 0.01"),
        (["--reconnect", "--reconnect-attempts=0"], "--reconnect-attempts must be"),
        (["--proxy=socks5://x"], "--proxy must be http://HOST:PORT"),
    ],
)
def test_options_that_cannot_work_are_one_sentence(arguments: list[str], sentence: str) -> None:
    code, out, err = run_here("client", "ws://127.0.0.1:1/", *arguments)
    assert (code, out) == (2, b"")
    assert err.startswith("trioecho: ") and err.count("\n") == 1
    assert sentence in err


def test_help_is_in_groups_with_defaults() -> None:
    help = subprocess.run(
        command("client", "--help"), capture_output=True, text=True, check=True, env=ENVIRONMENT
    ).stdout
    for group in ("When to end", "Messages", "Request", "TLS", "Network", "Staying connected", "Limits"):
        assert f"\n{group}:\n" in help
    assert "[default: 10]" in help
