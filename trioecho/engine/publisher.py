"""Publishing into rooms from any program: no server of its own, no connection to one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from trioecho.engine.engine import Engine
from trioecho.engine.errors import EngineLost
from trioecho.nurseries import open_plain_nursery
from trioecho.protocol import frames
from trioecho.protocol.room_name import check_room_name
from trioecho.rooms.batch import Batch, Origin
from trioecho.settings import Settings

__all__ = ["Publisher", "publisher"]


class Publisher:
    """Publishes through an engine: :meth:`publish` reaches everybody in a room, on all its servers."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._limit = settings.max_message_size
        self._patience = settings.engine_patience

    async def publish(self, room: str, message: str | bytes) -> None:
        """
        Publish ``message`` in ``room``, and wait until the engine has it.

        If cancelled, it may have been published or not; likewise after an error.

        Raises:
            TypeError: the message is neither ``str`` nor ``bytes``, or the room's name is not a ``str``.
            ValueError: no room can have this name (it begins with a slash and has at most 255 bytes), or
                the message is larger than 1 MiB, or text that UTF-8 cannot encode.
            EngineLost: the engine has not taken it for as long as it is waited for; it says why.

        """
        check_room_name(room)
        frame = frames.encode(message)
        size = len(message.encode() if isinstance(message, str) else message)
        if size > self._limit:
            raise ValueError(f"the message has {size} bytes; at most {self._limit} can be published")
        with trio.move_on_after(self._patience):
            while self._engine.is_full:
                await self._engine.wait_space()
            number = self._engine.add(room, Batch(Origin.APPLICATION, frame, 1))
            await self._engine.outgoing.wait_confirmed(number)
            return
        why = self._engine.troubles.now or f"it does not answer within {self._patience:g} seconds"
        raise EngineLost(f"the engine cannot be used: {why}")


@asynccontextmanager
async def publisher(
    engine: str, *, engine_prefix: str = "te1", engine_patience: float = 5.0
) -> AsyncIterator[Publisher]:
    """
    Connect to the engine at the URL ``engine`` for the length of a ``with`` block, to publish into rooms.

    ``engine_prefix`` is that of the servers; ``engine_patience`` is how long publishing waits for an engine
    that is away (seconds).

    Raises:
        OptionError: an argument can't be; the sentence holds no password.

    """
    settings = Settings(
        engine=engine, engine_prefix=engine_prefix, engine_patience=engine_patience, when_engine_down="wait"
    )
    made = Engine(settings)
    async with open_plain_nursery() as nursery:
        nursery.start_soon(made.run)
        yield Publisher(made, settings)
        nursery.cancel_scope.cancel()
