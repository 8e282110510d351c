"""How a connection ends over TLS: as promptly as a plain one, with a close_notify and the right code."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme
from helpers.raw_peer import BINARY, CONTINUATION, TEXT, close, frame, request
from helpers.server import Serving, serving

PROMPT = 1.0
"""Seconds. A peer that waits for the other side to hang up would take two."""

LIMIT = 1024

KINDS = ["ours", "trio"]

pytestmark = pytest.mark.parametrize("kind", KINDS)

WRONG = {
    "a reserved opcode": (frame(0x3), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "text that is not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "a message that is too large": (frame(BINARY, b"x" * (LIMIT + 1)), 1009),
}


@asynccontextmanager
async def joined(server: Serving, client: ssl.SSLContext) -> AsyncIterator[trio.SSLStream[trio.SocketStream]]:
    """A client over TLS that has been let in."""
    port = int(server.url.rpartition(":")[2].rstrip("/"))
    plain = await trio.open_tcp_stream("127.0.0.1", port)
    # An end without a close_notify is an error here.
    stream = trio.SSLStream(plain, client, server_hostname="127.0.0.1", https_compatible=False)
    try:
        await stream.send_all(request())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def serving_tls(kind: str, folder: Path) -> AsyncIterator[tuple[Serving, ssl.SSLContext]]:
    """A server with TLS: ``ours``, or a listener of trio's that the application brings."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    if kind == "ours":
        issued.private_key_and_cert_chain_pem.write_to_path(folder / "cert.pem")
        async with serving(
            listeners=[plain], max_message_size=LIMIT, tls_cert=str(folder / "cert.pem")
        ) as server:
            yield server, client
        return
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issued.configure_cert(context)
    listener = trio.SSLListener(plain, context)
    async with serving(listeners=[listener], max_message_size=LIMIT) as server:
        yield server, client


async def read_close(stream: trio.abc.ReceiveStream) -> int:
    """Read to the end, and return the code of the close frame that is all there is."""
    seen = b""
    while data := await stream.receive_some():
        seen += data
    assert seen[0] == 0x88 and len(seen) == seen[1] + 2
    return int.from_bytes(seen[2:4], "big")


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_breaks_the_protocol_ends_promptly_with_its_code(
    wrong: str, kind: str, tmp_path: Path
) -> None:
    what, code = WRONG[wrong]
    async with serving_tls(kind, tmp_path) as (server, client), joined(server, client) as stream:
        began = trio.current_time()
        await stream.send_all(what)
        assert await read_close(stream) == code
        assert trio.current_time() - began < PROMPT
        await server.event("disconnected", code=code)
        assert not server.tracebacks


async def test_an_end_that_the_client_wants_is_answered_and_complete(kind: str, tmp_path: Path) -> None:
    async with serving_tls(kind, tmp_path) as (server, client), joined(server, client) as stream:
        began = trio.current_time()
        await stream.send_all(close(1000))
        assert await read_close(stream) == 1000
        assert trio.current_time() - began < PROMPT
        entry = await server.event("disconnected")
        assert (entry["why"], entry["code"]) == ("client-closed", 1000)


async def test_a_shutdown_is_complete_too(kind: str, tmp_path: Path) -> None:
    async with serving_tls(kind, tmp_path) as (server, client), joined(server, client) as stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server.shutdown)
            data = await stream.receive_some()
            assert data[:4] == b"\x88" + data[1:2] + b"\x03\xe9"
            await stream.send_all(close(1001))
            assert await stream.receive_some() == b""
