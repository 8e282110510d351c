"""
A batch: messages on their way through a room, as one value.

It is the same whether it came from a client, from the application, or from elsewhere: frames ready for the
wire, shared by everybody it goes to and every backlog it stands in.
"""

from __future__ import annotations

import trio

from trioecho.protocol.sse import encode_events

__all__ = ["Batch"]

BATCH_COST = 64
"""What a batch is taken to cost in a queue beside its frames (bytes), so that a queue of many tiny ones is
bounded too."""


class Batch:
    """
    ``count`` messages as ``frames``, from ``sender`` (``None``: the application).

    ``flushed``, if given, is set when the room has handed the batch, and with it all that came before, to
    every outbox; a batch without messages can carry it through the room as a mark. ``events`` is the batch
    once more as Server-Sent Events, made when the first event stream needs it.
    """

    __slots__ = ("_events", "cost", "count", "flushed", "frames", "sender")

    def __init__(
        self,
        sender: object | None,
        frames: bytes,
        count: int,
        flushed: trio.Event | None = None,
        events: bytes | None = None,
    ) -> None:
        self.sender = sender
        self.frames = frames
        self.count = count
        self.cost = len(frames) + BATCH_COST
        self.flushed = flushed
        self._events = events

    @property
    def events(self) -> bytes:
        """The batch as Server-Sent Events, encoded when first asked for, and kept for all who get it."""
        if self._events is None:
            self._events = encode_events(self.frames)
        return self._events
