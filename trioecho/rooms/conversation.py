"""A conversation: one client of a route, as its handler talks with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import trio

from trioecho.rooms.member import Member

__all__ = ["Conversation", "Ends"]


@dataclass(slots=True, eq=False)
class Ends:
    """Both ends of the way from a client to its handler: one message at a time, so that the client waits."""

    send: trio.MemorySendChannel[str | bytes]
    receive: trio.MemoryReceiveChannel[str | bytes]


def new_ends() -> Ends:
    """Open a way that holds nothing: who sends waits until the message has been taken."""
    return Ends(*trio.open_memory_channel[str | bytes](0))


@dataclass(frozen=True, slots=True, eq=False)
class Conversation(Member):
    """
    A client of a route: an async iterator over what it sends, beside all that a :class:`Member` is.

    The iteration ends when the client has gone, after what it sent before. ``room`` is the route's path.
    """

    _ends: Ends = field(default_factory=new_ends, init=False, repr=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        """
        Return the client's next message; wait for it. If cancelled, no message is lost.

        The client's next message is not read before this one has been taken: it feels TCP backpressure.
        """
        try:
            return await self._ends.receive.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
