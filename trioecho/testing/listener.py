"""A listener of streams in memory: a server without ports."""

from __future__ import annotations

import trio

__all__ = ["MemoryListener"]


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Where a server gets its connections: from :meth:`connect`."""

    def __init__(self) -> None:
        self._put, self._take = trio.open_memory_channel[trio.abc.Stream](0)

    async def accept(self) -> trio.abc.Stream:
        """
        Return the server's end of the next connection.

        Raises:
            trio.ClosedResourceError: the listener is closed.

        """
        try:
            return await self._take.receive()
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    async def connect(self, stream: trio.abc.Stream) -> None:
        """
        Hand the server its end of a connection, and wait until it has accepted it.

        Raises:
            trio.BrokenResourceError: the listener is closed.

        """
        await self._put.send(stream)

    async def aclose(self) -> None:
        """Accept no more."""
        self._take.close()
        await trio.lowlevel.checkpoint()
