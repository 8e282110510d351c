"""A subscription: the application itself as a subscriber of a room."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

import trio

from trioecho.disconnect import Disconnect
from trioecho.log import logger
from trioecho.protocol import frames
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.room import Room
from trioecho.settings import Settings

__all__ = ["Disconnected", "Subscription"]


class Disconnected(Exception):
    """The subscription was ended by its hub; ``why`` says for what reason."""

    def __init__(self, why: Disconnect) -> None:
        super().__init__(str(why))
        self.why = why


class Subscription:
    """
    An async iterator over a room's messages: ``str`` for text, ``bytes`` for binary.

    The iteration ends when the server shuts down gracefully.

    Attributes:
        dropped: messages that a dropping policy has taken from it.

    """

    kind: ClassVar = "application"
    room: Room

    def __init__(self, limits: Settings) -> None:
        self.outbox = Outbox(self, limits, None)
        self._messages: deque[str | bytes] = deque()
        self._why: Disconnect | None = None

    @property
    def dropped(self) -> int:
        """Messages that a dropping policy has taken from it."""
        return self.outbox.dropped

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
        else:
            try:
                batch = await self.outbox.receive()
            except (trio.EndOfChannel, trio.ClosedResourceError):
                if self._why is not None and not self._why.polite:
                    raise Disconnected(self._why) from None
                raise StopAsyncIteration from None
            self._messages.extend(frames.messages(batch.frames))
        return self._messages.popleft()

    def disconnect(self, why: Disconnect) -> None:
        """End it; a polite reason lets the application have what is queued."""
        if self._why is None:
            self._why = why
            if why.polite:
                self.outbox.finish()
            else:
                self.outbox.close()

    def on_space(self) -> None:
        """Tell the room that there is room again."""
        self.room.on_space()

    def on_first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        logger.warning("a subscription of the application in %r does not keep up: dropping", self.room.name)

    def start_writer(self) -> None:
        """Do nothing: the application takes the messages itself."""
