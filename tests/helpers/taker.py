"""A member of a room that understands places, and takes what comes only when a test wants it to."""

from __future__ import annotations

from helpers.bare_member import Resident

from trioecho.protocol import frames
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.place import Place
from trioecho.rooms.registry import Registry
from trioecho.rooms.since import Since

__all__ = ["Taker", "told"]


def told(place: Place, missed: int | None) -> bytes:
    """Tell it as a text message that can be told from all others."""
    return frames.encode(f"\x00{place} {missed}")


class Taker(Resident):
    """
    A member that takes what comes when it is told to: by itself, or over a stream.

    ``heard`` are the messages, ``numbers`` which of the room's they are by what it was told, and ``missed``
    what it was told is missing (``None``: nobody knows).
    """

    def __init__(
        self, registry: Registry, name: str, since: Since | None, outbox: Outbox | None = None
    ) -> None:
        super().__init__(registry)
        self.outbox = Outbox(self, registry.settings) if outbox is None else outbox
        self.heard: list[str] = []
        self.missed: list[int | None] = []
        self.numbers: list[int] = []
        self.place: Place | None = None
        self.outbox.tell = told
        self.room = registry.enter(name, self, since)

    async def take(self, batches: int) -> None:
        """Take so many batches at most, without waiting for any."""
        for _ in range(batches):
            if not self.outbox.owes:
                return
            batch = await self.outbox.receive()
            assert batch is not None
            self.hear(batch.encoded(None))

    def hear(self, data: bytes) -> None:
        """Take notice of frames, as a client does."""
        for message in frames.messages(data):
            assert isinstance(message, str)
            if message.startswith("\x00"):
                place, missed = message[1:].split()
                epoch, offset = place.split("-")
                self.place = Place(epoch, int(offset))
                self.missed.append(None if missed == "None" else int(missed))
            else:
                self.heard.append(message)
                assert self.place is not None, "the first word says where it is"
                self.place = Place(self.place.epoch, self.place.offset + 1)
                self.numbers.append(self.place.offset)
