"""Servers for the client's tests: other people's, and one that sends whatever bytes a test wants."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import trio
from websockets.sync.server import ServerConnection, serve

from trioecho.cli import main

Handler = Callable[[trio.SocketStream], Awaitable[None]]


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@contextmanager
def websockets_server(
    handler: Callable[[ServerConnection], None] = echo, *, port: int = 0, **options: Any
) -> Iterator[str]:
    """The `websockets` library's server in a thread; gives the URL."""
    options.setdefault("compression", None)
    with serve(handler, "127.0.0.1", port, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


async def shake_hands(stream: trio.SocketStream, more: bytes = b"") -> bytes:
    """Answer a handshake by hand, with more header lines; returns the request."""
    request = b""
    while b"\r\n\r\n" not in request:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError("the client hung up")
        request += data
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.split()[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    await stream.send_all(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + more + b"\r\n"
    )
    return request


@dataclass
class RawServer:
    """Where a raw server listens, and all bytes its clients sent after the handshake until they hung up."""

    url: str
    received: bytearray = field(default_factory=bytearray)
    hung_up: trio.Event = field(default_factory=trio.Event)

    async def listen(self, stream: trio.SocketStream) -> None:
        try:
            while data := await stream.receive_some():
                self.received += data
        except trio.BrokenResourceError:
            pass
        self.hung_up.set()


@asynccontextmanager
async def raw_server(
    handler: Callable[[trio.SocketStream, RawServer], Awaitable[None]],
) -> AsyncIterator[RawServer]:
    """Serve every TCP connection with the handler."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = RawServer(f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/")

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(stream, server)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def tunnel(stream: trio.SocketStream, host: str, port: int) -> None:
    """Do what a CONNECT proxy does once it is willing: say so, and carry bytes both ways."""
    onward = await trio.open_tcp_stream(host, port)
    await stream.send_all(b"HTTP/1.1 200 Connected\r\n\r\n")

    async def carry(source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some():
                await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async with onward, trio.open_nursery() as nursery:
        nursery.start_soon(carry, onward, stream)
        await carry(stream, onward)


def frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A server's frame."""
    first = (0x80 if final else 0) | opcode
    if len(payload) < 126:
        return bytes([first, len(payload)]) + payload
    if len(payload) < 65536:
        return bytes([first, 126]) + len(payload).to_bytes(2, "big") + payload
    return bytes([first, 127]) + len(payload).to_bytes(8, "big") + payload


def frames_sent(received: bytes | bytearray) -> list[tuple[int, bytes]]:
    """Take apart what a client sent: opcode and payload; fails if the last frame is not whole."""
    found, rest = [], bytes(received)
    while rest:
        size, start = rest[1] & 0x7F, 2
        assert rest[1] & 0x80, "a client masks every frame"
        if size >= 126:
            wide = 2 if size == 126 else 8
            size, start = int.from_bytes(rest[2 : 2 + wide], "big"), 2 + wide
        mask = rest[start : start + 4]
        payload = rest[start + 4 : start + 4 + size]
        assert len(payload) == size, "half a frame"
        found.append((rest[0] & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload))))
        rest = rest[start + 4 + size :]
    return found


def run_here(*arguments: str, stdin: str | bytes = b"") -> tuple[int, bytes, str]:
    """
    Run a command in this process, with files as its standard streams: exit code, output, errors.

    A tenth of what a process of its own costs; those tests that are about processes start one.
    """
    saved = [os.dup(fd) for fd in (0, 1)]
    errors = io.StringIO()
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written:
        given.write(stdin.encode() if isinstance(stdin, str) else stdin)
        given.seek(0)
        try:
            os.dup2(given.fileno(), 0)
            os.dup2(written.fileno(), 1)
            with redirect_stderr(errors), patch.object(sys, "argv", ["trioecho", *arguments]):
                main()
        except SystemExit as done:
            code = done.code
        finally:
            for fd, before in enumerate(saved):
                os.dup2(before, fd)
                os.close(before)
        written.seek(0)
        assert isinstance(code, int)
        return code, written.read(), errors.getvalue()


def command(*arguments: str) -> list[str]:
    """How a test runs the command line."""
    return [sys.executable, "-m", "trioecho", *arguments]


ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
