"""A listener of memory streams: a server with clients in virtual time."""

from __future__ import annotations

import trio
import trio.testing

__all__ = ["MemoryListener"]


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """A trio listener that accepts what :meth:`connect` gives it; both ends move in lockstep."""

    def __init__(self) -> None:
        self._send, self._accept = trio.open_memory_channel[trio.abc.Stream](0)

    async def connect(self) -> trio.abc.Stream:
        """Connect, and return the client's end."""
        ours, theirs = trio.testing.lockstep_stream_pair()
        await self._send.send(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        """Return the server's end of the next connection."""
        return await self._accept.receive()

    async def aclose(self) -> None:
        """Accept no more."""
        await self._accept.aclose()
