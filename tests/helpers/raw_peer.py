"""A peer of raw bytes: a WebSocket client that says exactly what a test wants said, right or wrong."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import trio

__all__ = ["CLOSE", "Peer", "close", "connected", "connection", "frame", "joined", "request"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

HEADERS = {
    b"Host": b"localhost",
    b"Connection": b"Upgrade",
    b"Upgrade": b"websocket",
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
}

MASK = b"\x01\x02\x03\x04"


def frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    """One frame of a client; bits over the opcode's four are put in as they are (reserved ones)."""
    first, bit = opcode | 0x80 * final, 0x80 * masked
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65_536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if not masked:
        return head + payload
    stretched = (MASK * (length // 4 + 1))[:length]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")
    return head + MASK + number.to_bytes(length, "big")


def close(code: int = 1000, reason: bytes = b"") -> bytes:
    """A client's close frame."""
    return frame(CLOSE, struct.pack("!H", code) + reason)


def request(
    room: bytes = b"/",
    *,
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
    headers: Mapping[bytes, bytes | None] | None = None,
) -> bytes:
    """The head of a handshake, right but for what is given; a header that is ``None`` is left out."""
    lines = [b" ".join((method, room, version))]
    for name, value in {**HEADERS, **(headers or {})}.items():
        if value is not None:
            lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


class Peer:
    """One TCP connection to a server, and what came over it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._received = bytearray()

    @property
    def address(self) -> str:
        """The address of this end, as the log of the server names it."""
        host, port = self.stream.socket.getsockname()[:2]
        return f"{host}:{port}"

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        await self.stream.send_all(data)

    async def send_until_refused(self, data: bytes) -> None:
        """Send the same bytes again and again, until the connection takes no more or is closed here."""
        try:
            while True:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def read_until(self, end: bytes) -> bytes:
        """Return what comes up to and with ``end``."""
        while (at := self._received.find(end)) < 0:
            await self._read_more()
        return self._take(at + len(end))

    async def read_to_end(self) -> bytes:
        """Return all that comes until the server ends the connection, in an orderly way."""
        while data := await self.stream.receive_some():
            self._received += data
        return self._take(len(self._received))

    async def read_response(self) -> tuple[int, bytes, bytes]:
        """Read an HTTP response until the connection ends: its status, its head, and its body."""
        head, _, body = (await self.read_to_end()).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), head, body

    async def shake_hands(self, head: bytes) -> None:
        """Send ``head`` and read the answer, which must be yes."""
        await self.send(head)
        answer = await self.read_until(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101 "), answer

    async def read_frame(self) -> tuple[int, bytes]:
        """Return the next frame as its opcode and payload; servers' frames are final and not masked."""
        first, length = await self.read(2)
        assert first & 0xF0 == 0x80 and length < 0x80, "a server's frame is final, plain and not masked"
        if length > 125:
            length = int.from_bytes(await self.read(2 if length == 126 else 8), "big")
        return first & 0x0F, await self.read(length)

    async def read_close(self) -> int:
        """Skip messages up to the close frame and return its code."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    async def wait_gone(self) -> None:
        """Read until the connection is gone, in whatever way."""
        try:
            while await self.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return

    def take_little(self) -> None:
        """Have the kernel keep little of what is not read, so that it is the server that has to."""
        self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)

    def vanish(self, *, reset: bool) -> None:
        """Be gone without a word of WebSocket: with a TCP reset, or in TCP's orderly way."""
        if reset:
            self.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()

    async def read(self, count: int) -> bytes:
        """Return the next so many bytes."""
        while len(self._received) < count:
            await self._read_more()
        return self._take(count)

    async def _read_more(self) -> None:
        data = await self.stream.receive_some()
        assert data, f"the connection ended after {bytes(self._received[:200])!r}"
        self._received += data

    def _take(self, count: int) -> bytes:
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[trio.SocketStream]:
    """A TCP connection to the server at ``url``."""
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Peer]:
    """A peer with a connection to the server at ``url``, without a word said."""
    async with connection(url) as stream:
        yield Peer(stream)


@asynccontextmanager
async def joined(url: str, room: bytes = b"/", *, stuck: bool = False) -> AsyncIterator[Peer]:
    """A peer in a room, after its handshake; ``stuck``: it will not read, and its kernel keeps little."""
    async with connected(url) as peer:
        if stuck:
            peer.take_little()
        await peer.shake_hands(request(room))
        yield peer
