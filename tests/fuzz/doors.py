"""
The doors: for each place where a stranger's bytes come in, a function that brings some there.

Each runs a real server, or a real client against an evil server, on real sockets. What must hold afterwards
is the same for all: everybody else is served, there is no exception but the named ones, no traceback is
logged, and no task or file is left behind.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import trio
from helpers.raw_peer import connection, request
from helpers.server import serving
from helpers.signing import SECRET
from trio_websocket import open_websocket_url
from wsproto.utilities import generate_accept_token

from trioecho import ClientError, open_client

__all__ = ["DOORS", "Door"]

Door = Callable[[Sequence[bytes]], Awaitable[None]]
"""Takes the pieces in which the bytes come."""

PATIENCE = 10.0
"""Seconds in which a connection must have ended, once its other side has."""

TOKEN = "b68a1c59f3c2a7e51d04"

OPTIONS = {"handshake_timeout": PATIENCE, "max_message_size": 10_000}

KEY = re.compile(rb"sec-websocket-key: *([^\r]+)", re.IGNORECASE)


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that there are as many tasks and open files after the block as before it."""
    before = trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))
    yield
    for _ in range(3):
        await trio.lowlevel.checkpoint()  # tasks that have just ended
    after = trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))
    # What an earlier test has left may be closed meanwhile.
    assert after[0] == before[0] and after[1] <= before[1], f"tasks and files: {before} before, {after} after"


async def bring(url: str, pieces: Sequence[bytes]) -> bytes:
    """Send the pieces, end one's own side, and read to the end, which must come."""
    heard = bytearray()
    async with connection(url) as stream:
        with suppress(trio.BrokenResourceError), trio.fail_after(PATIENCE):
            for piece in pieces:
                if piece:
                    await stream.send_all(piece)
            await stream.send_eof()
            while data := await stream.receive_some():
                heard += data
    return bytes(heard)


@asynccontextmanager
async def watched(**options: object) -> AsyncIterator[str]:
    """A server with these options, for the block; two who were there before must still be served after it."""
    async with nothing_left(), serving(**{**OPTIONS, **options}) as server:  # type: ignore[arg-type]
        known = [(b"Authorization", b"Bearer " + TOKEN.encode())]
        url = f"{server.url}watched"
        if options.get("proxy_protocol"):
            yield server.url  # those who come without its header are let in by nobody
        else:
            async with (
                open_websocket_url(url, extra_headers=known) as one,
                open_websocket_url(url, extra_headers=known) as other,
            ):
                yield server.url
                await one.send_message("still there?")
                assert await other.get_message() == "still there?"
        await server.server.shutdown()
        assert not server.tracebacks, server.tracebacks
        assert TOKEN not in str(server.entries), "a token was logged"


async def http(pieces: Sequence[bytes]) -> None:
    """Bring bytes where a request is awaited."""
    async with watched() as url:
        await bring(url, pieces)


async def body(pieces: Sequence[bytes]) -> None:
    """Bring bytes where the body of a POST is awaited, in chunks."""
    head = b"POST /posts HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with watched() as url:
        await bring(url, [head, *pieces])


async def frames(pieces: Sequence[bytes]) -> None:
    """Bring bytes where frames are awaited."""
    async with watched() as url:
        heard = await bring(url, [request(b"/frames"), *pieces])
        assert not heard or heard.startswith(b"HTTP/1.1 101 "), heard


async def proxy(pieces: Sequence[bytes]) -> None:
    """Bring bytes where a PROXY header is awaited."""
    async with watched(proxy_protocol=True, trusted_proxy=["127.0.0.1"]) as url:
        await bring(url, pieces)


async def token(pieces: Sequence[bytes]) -> None:
    """Bring bytes where a token is presented: as a bearer, a subprotocol, a cookie and in the query."""
    data = b"".join(pieces)
    async with watched(token={"ada": TOKEN}, token_cookie="session", allow_query_token=True) as url:
        for name, before in (
            (b"Authorization", b"Bearer "),
            (b"Authorization", b""),
            (b"Sec-WebSocket-Protocol", b"bearer."),
            (b"Cookie", b"session="),
        ):
            heard = await bring(url, [request(b"/tokens", headers={name: before + data})])
            assert not heard.startswith(b"HTTP/1.1 101 "), "let in"
        heard = await bring(url, [request(b"/tokens?token=" + data)])
        assert not heard.startswith(b"HTTP/1.1 101 "), "let in"


async def jwt(pieces: Sequence[bytes]) -> None:
    """Bring bytes where a signed token is presented."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_bytes(SECRET)
        async with watched(token={"ada": TOKEN}, jwt_key_file=key) as url:
            head = request(b"/jwt", headers={b"Authorization": b"Bearer eyJ" + b"".join(pieces)})
            heard = await bring(url, [head])
            assert not heard.startswith(b"HTTP/1.1 101 "), "let in"


async def meet(pieces: Sequence[bytes], *, shake_hands: bool) -> None:
    """Have our client come to a server that answers with these bytes, after a right handshake or at once."""

    async def answer(stream: trio.SocketStream) -> None:
        head = b""
        with suppress(trio.BrokenResourceError):
            while b"\r\n\r\n" not in head:
                head += await stream.receive_some()
            if shake_hands:
                key = KEY.search(head)
                assert key is not None
                await stream.send_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    b"Sec-WebSocket-Accept: %s\r\n\r\n" % generate_accept_token(key[1])
                )
            for piece in pieces:
                if piece:
                    await stream.send_all(piece)
            await stream.send_eof()
            while await stream.receive_some():
                pass
        await trio.aclose_forcefully(stream)

    async with nothing_left(), trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        port = listener.socket.getsockname()[1]
        with trio.fail_after(2 * PATIENCE), suppress(ClientError):
            url = f"ws://127.0.0.1:{port}/"
            async with open_client(
                url, connect_timeout=PATIENCE, proxy=False, max_message_size=10_000
            ) as met:
                async for _ in met:
                    pass
        nursery.cancel_scope.cancel()


async def client_handshake(pieces: Sequence[bytes]) -> None:
    """Bring bytes to our client, which awaits the answer to its handshake."""
    await meet(pieces, shake_hands=False)


async def client_frames(pieces: Sequence[bytes]) -> None:
    """Bring bytes to our client, which awaits frames."""
    await meet(pieces, shake_hands=True)


DOORS: dict[str, Door] = {
    "http": http,
    "body": body,
    "frames": frames,
    "proxy": proxy,
    "token": token,
    "jwt": jwt,
    "client-handshake": client_handshake,
    "client-frames": client_frames,
}
