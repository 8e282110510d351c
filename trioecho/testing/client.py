"""A client in a test, which does as it is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

import trio

from trioecho.protocol import frames
from trioecho.protocol.frames import BINARY, CLOSE, FIN, TEXT, Opcode

__all__ = ["Closed", "MemoryClient"]

MASK = b"\x00\x00\x00\x00"
"""What a client masks its frames with (RFC 6455, 5.3): any four bytes, and in memory nobody is confused."""

READ_BYTES = 64 * 1024
SLOW_PIECES = 10
"""One that is slow reads a tenth of what it takes in a second, ten times a second."""


class Closed(Exception):
    """The connection has ended; ``code`` and ``reason`` are the server's, or 1006 if it said nothing."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class MemoryClient:
    """
    One WebSocket client of a :class:`MemoryServer`, after its handshake; ``connect()`` makes it.

    It reads all the time and answers pings, unless it is a stuck client or a slow one. What it has read waits
    for :meth:`receive`.

    Attributes:
        headers: those of the server's answer, by their names in small letters.
        subprotocol: the one the server has chosen, if any.
        messages: how many messages it has read so far.

    """

    def __init__(
        self, stream: trio.abc.Stream, received: bytes, headers: Mapping[str, str], pace: float
    ) -> None:
        self.headers = headers
        self.subprotocol = headers.get("sec-websocket-protocol")
        self.messages: int = 0
        self._stream = stream
        self._received = received
        self._pace = pace
        self._put, self._take = trio.open_memory_channel[str | bytes](math.inf)
        self._closed: Closed | None = None
        self._silent = trio.CancelScope()
        self._moving = trio.Event()
        if pace:
            self._moving.set()

    async def send(self, *messages: str | bytes) -> None:
        """
        Send messages, in one write.

        Raises:
            Closed: the connection has ended.

        """
        data = []
        for message in messages:
            text = isinstance(message, str)
            payload = message.encode() if isinstance(message, str) else message
            data.append(frames.masked(TEXT if text else BINARY, payload, MASK))
        await self.send_bytes(b"".join(data))

    async def send_bytes(self, data: bytes) -> None:
        """
        Send bytes as they are: frames that are wrong, or half of one.

        Raises:
            Closed: the connection has ended.

        """
        if self._closed is not None:
            raise self._closed
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise self._closed or Closed(1006, "") from None

    async def receive(self) -> str | bytes:
        """
        Return the next message; wait for it.

        Raises:
            Closed: the connection has ended, and all messages before that have been returned.

        """
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            raise self._closed or Closed(1006, "") from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """Return the next message; the iteration ends with the connection, whatever the reason."""
        try:
            return await self.receive()
        except Closed:
            raise StopAsyncIteration from None

    async def wait_closed(self) -> Closed:
        """Wait until the connection has ended, and return how; messages that came before are dropped."""
        async for _ in self:
            pass
        return self._closed or Closed(1006, "")

    async def close(self, code: int = 1000) -> None:
        """Say goodbye, and wait until the server has."""
        try:
            await self.send_bytes(frames.masked(CLOSE, code.to_bytes(2, "big"), MASK))
        except Closed:
            await trio.lowlevel.checkpoint()
        self.go_on()
        await self.wait_closed()

    def stop(self) -> None:
        """Read nothing more, once what is being waited for now has come."""
        self._moving = trio.Event()

    def go_on(self) -> None:
        """Read, if it was stuck; as fast as it can, if it was slow."""
        self._pace = math.inf
        self._moving.set()

    async def vanish(self, *, silently: bool = False) -> None:
        """
        Be gone without a word.

        The server is told that the connection has broken, as by a TCP reset; or, ``silently``, nothing at
        all, as when a phone enters a tunnel: then only a keepalive ping finds out.
        """
        self._silent.cancel()
        if not silently:
            await trio.aclose_forcefully(self._stream)
        else:
            await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """Read until the connection ends: the client's task, which ``connect()`` has started."""
        with self._silent, self._put:
            try:
                while self._closed is None:
                    await self._moving.wait()
                    await self._answer()
                    if self._closed is None and not await self._read():
                        self._closed = Closed(1006, "")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._closed = Closed(1006, "")

    async def _read(self) -> bool:
        slow = self._pace < math.inf
        most = max(1, round(self._pace / SLOW_PIECES)) if slow else READ_BYTES
        data = await self._stream.receive_some(most)
        if slow:
            await trio.sleep(len(data) / self._pace)
        self._received += data
        return bool(data)

    async def _answer(self) -> None:
        """Answer pings as they are found, and take the rest apart."""
        pongs = self._parse()
        if pongs:
            await self._stream.send_all(b"".join(pongs))

    def _parse(self) -> list[bytes]:
        """Take the frames that have come apart; return what is to be answered."""
        answers = []
        while self._closed is None and (found := frames.split(self._received, 0)) is not None:
            first, start, stop = found
            payload, self._received = self._received[start:stop], self._received[stop:]
            if first & 0x0F == Opcode.PING:
                answers.append(frames.masked(FIN | Opcode.PONG, payload, MASK))
            elif first == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                self._closed = Closed(code, payload[2:].decode())
                answers.append(frames.masked(CLOSE, payload[:2], MASK))
            elif first & 0x0F in (Opcode.TEXT, Opcode.BINARY):
                self.messages += 1
                self._put.send_nowait(payload.decode() if first == TEXT else payload)
        return answers
