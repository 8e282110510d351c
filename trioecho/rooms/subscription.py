"""A subscription: a room's messages, as the application iterates over them."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Generic, Self, TypeVar

import trio

from trioecho.disconnect import Disconnect
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch
from trioecho.rooms.heard import Heard, heard
from trioecho.rooms.notice import Notice
from trioecho.rooms.place import Place
from trioecho.rooms.subscriber import Subscriber

__all__ = ["Disconnected", "SourcedSubscription", "Subscription"]

T = TypeVar("T")


class Disconnected(Exception):
    """The subscription was ended by its hub; ``why`` says for what reason."""

    def __init__(self, why: Disconnect) -> None:
        super().__init__(str(why))
        self.why = why


class BaseSubscription(Generic[T]):
    """
    What all subscriptions are.

    Attributes:
        missed: how many messages, up to where the iteration is, were forgotten or dropped, if it was to begin
            after a place; ``None``: nobody knows, because that is no place of its room any more.

    """

    __slots__ = ("_messages", "_place", "_subscriber", "missed")

    def __init__(self, subscriber: Subscriber, after: Place | None = None) -> None:
        self.missed: int | None = 0
        self._subscriber = subscriber
        self._place = subscriber.room.history.place if after is None else after
        self._messages: deque[T] = deque()

    @property
    def dropped(self) -> int:
        """Messages that a dropping policy has taken from it."""
        return self._subscriber.outbox.dropped

    @property
    def place(self) -> str:
        """Where in its room the iteration is: after the last message that it has given."""
        return str(self._place)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """
        Return the next message; wait for it. If cancelled, no message is lost.

        Raises:
            Disconnected: the application was too slow, or the room failed.

        """
        if self._messages:
            await trio.lowlevel.checkpoint()
            return self._next()
        try:
            batch = await self._subscriber.outbox.receive()
            while isinstance(batch, Notice):
                self._place = Place(batch.epoch, batch.offset)
                known = self.missed is not None and batch.missed is not None
                self.missed = (self.missed or 0) + (batch.missed or 0) if known else None
                batch = await self._subscriber.outbox.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            why = self._subscriber.why
            if why is not None and not why.polite:
                raise Disconnected(why) from None
            raise StopAsyncIteration from None
        assert batch is not None  # nobody wakes an application without one
        self._messages.extend(self._taken_apart(batch))
        self._place = Place(batch.epoch, batch.offset)
        return self._next()

    @abstractmethod
    def _taken_apart(self, batch: Batch) -> Iterable[T]:
        """Return what the iteration gives for a batch: one thing for each message."""

    def _next(self) -> T:
        self._place = Place(self._place.epoch, self._place.offset + 1)
        return self._messages.popleft()


class Subscription(BaseSubscription[str | bytes]):
    """
    An async iterator over a room's messages: ``str`` for text, ``bytes`` for binary.

    :meth:`Hub.subscribe` makes it. The iteration ends when the server or the hub shuts down gracefully, after
    the messages that were still queued.

    Attributes:
        missed: how many messages, up to where the iteration is, were forgotten or dropped, if it was to begin
            after a place; ``None``: nobody knows, because that is no place of its room any more.

    """

    __slots__ = ()

    def _taken_apart(self, batch: Batch) -> Iterable[str | bytes]:
        return frames.messages(batch.frames)


class SourcedSubscription(BaseSubscription[Heard]):
    """An async iterator over a room's messages that says where each came from: see :class:`Heard`."""

    __slots__ = ()

    def _taken_apart(self, batch: Batch) -> Iterable[Heard]:
        return heard(batch)
