"""Streams that fail as only a bug can: for the server's error boundary."""

from __future__ import annotations

import trio

from trioecho.transport.socket_stream import unlayered

__all__ = ["FaultyListener", "FaultyStream"]


class FaultyStream(trio.abc.HalfCloseableStream):
    """A stream over ``transport`` that fails as only a bug can."""

    def __init__(self, transport: trio.abc.HalfCloseableStream) -> None:
        self._transport = transport
        self.read_fault = self.send_fault = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, or fail."""
        data = await self._transport.receive_some(max_bytes)
        if self.read_fault:
            raise RuntimeError("a bug in reading")
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, or fail."""
        if self.send_fault:
            raise RuntimeError("a bug in sending")
        await self._transport.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the transport does."""
        await self._transport.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """End this half as the transport does."""
        await self._transport.send_eof()

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


class FaultyListener(trio.abc.Listener[trio.abc.Stream]):
    """A listener on a real socket; ``streams`` are the connections it has accepted, in order."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self.url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/"
        self.streams: list[FaultyStream] = []
        self._listener = listener
        self._more = trio.Event()

    async def accept(self) -> trio.abc.Stream:
        """Accept a connection."""
        transport = unlayered(await self._listener.accept())
        assert isinstance(transport, trio.abc.HalfCloseableStream)
        self.streams.append(FaultyStream(transport))
        self._more.set()
        self._more = trio.Event()
        return self.streams[-1]

    async def accepted(self, count: int) -> None:
        """Wait until so many connections have been accepted."""
        while len(self.streams) < count:
            await self._more.wait()

    async def aclose(self) -> None:
        """Close the socket."""
        await self._listener.aclose()
