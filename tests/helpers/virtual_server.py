"""
A whole server in a test, and clients that do as they are told.

The server is the real one; only its network is chosen: sockets whose buffers are small, or streams in memory
where a client that does not read holds up the very first byte. With trio's MockClock the server's seconds
pass as soon as nobody has anything to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Unpack

import trio
from helpers.streams import Connect, lockstep
from helpers.traffic import Reader, Seen, by_client

from trioecho import Server
from trioecho.settings import Options
from trioecho.testing import open_server

REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)


class Peer:
    """A client that speaks by wsproto, and reads only when it is told to."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._reader = Reader(client=True)
        self._at = 0

    async def shake_hands(self, path: str, protocol: str | None = None, token: str | None = None) -> None:
        more = "" if protocol is None else f"Sec-WebSocket-Protocol: {protocol}\r\n"
        more += "" if token is None else f"Authorization: Bearer {token}\r\n"
        await self.stream.send_all(REQUEST.format(path=path, more=more).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            # Byte by byte: the first message may come right behind.
            byte = await self.stream.receive_some(1)
            assert byte, f"the server answered {head!r}"
            head += byte
        assert head.startswith(b"HTTP/1.1 101 "), head

    async def send(self, *messages: str | bytes) -> None:
        frames = [frame for message in messages for frame in by_client(self._reader.connection, message, [])]
        await self.stream.send_all(b"".join(frames))

    async def next(self) -> Seen:
        """Return what the server says next; ``("end", None)`` when the connection has ended."""
        while self._at == len(self._reader.seen):
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                return ("end", None)
            self._reader.feed(bytes(data))
        self._at += 1
        return self._reader.seen[self._at - 1]

    async def listen(self, heard: list[Seen]) -> None:
        """Add to ``heard`` all that the server says until the end; a close frame is answered."""
        while (seen := await self.next()) != ("end", None):
            heard.append(seen)
            if seen[0] == "close":
                await self.close()

    async def rest(self) -> list[Seen]:
        """Return all that the server says until the end."""
        heard: list[Seen] = []
        await self.listen(heard)
        return heard

    async def close(self) -> None:
        """Send a close frame, unless the connection is gone."""
        try:
            await self.stream.send_all(b"\x88\x82\0\0\0\0\x03\xe8")
        except trio.BrokenResourceError:
            pass


Join = Callable[..., Awaitable[Peer]]


@asynccontextmanager
async def served(
    connect: Connect = lockstep, *, hooks: Mapping[str, Any] | None = None, **options: Unpack[Options]
) -> AsyncIterator[tuple[Server, Join]]:
    """
    Run a server and hand out a function that joins a room: ``await join("/room")``.

    It is the test kit's server, and ``hooks`` are further arguments of ``open_server()``. The clients are
    others than the kit's: they take frames apart with wsproto, so that we and the kit are not wrong together.
    At the end the server is cancelled and all connections are closed.
    """
    async with AsyncExitStack() as connections, open_server(**(hooks or {}), **options) as memory:

        async def join(
            path: str = "/",
            connect: Connect = connect,
            protocol: str | None = None,
            token: str | None = None,
        ) -> Peer:
            near, far = await connections.enter_async_context(connect())
            await memory.accept(near)
            peer = Peer(far)
            await peer.shake_hands(path, protocol, token)
            return peer

        yield memory.server, join
