"""A subscription: a room's messages, as the application iterates over them."""

from __future__ import annotations

from collections import deque

import trio

from trioecho.disconnect import Disconnect
from trioecho.protocol import frames
from trioecho.rooms.subscriber import Subscriber

__all__ = ["Disconnected", "Subscription"]


class Disconnected(Exception):
    """The subscription was ended by its hub; ``why`` says for what reason."""

    def __init__(self, why: Disconnect) -> None:
        super().__init__(str(why))
        self.why = why


class Subscription:
    """
    An async iterator over a room's messages: ``str`` for text, ``bytes`` for binary.

    :meth:`Hub.subscribe` makes it. The iteration ends when the server shuts down gracefully, after the
    messages that were still queued.
    """

    __slots__ = ("_messages", "_subscriber")

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._messages: deque[str | bytes] = deque()

    @property
    def dropped(self) -> int:
        """Messages that a dropping policy has taken from it."""
        return self._subscriber.outbox.dropped

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> str | bytes:
        """
        Return the next message; wait for it. If cancelled, no message is lost.

        Raises:
            Disconnected: the application was too slow, or the room failed.

        """
        if self._messages:
            await trio.lowlevel.checkpoint()
            return self._messages.popleft()
        try:
            batch = await self._subscriber.outbox.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            why = self._subscriber.why
            if why is not None and not why.polite:
                raise Disconnected(why) from None
            raise StopAsyncIteration from None
        assert batch is not None  # nobody wakes an application without one
        self._messages.extend(frames.messages(batch.frames))
        return self._messages.popleft()
