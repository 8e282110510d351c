"""What a server has counted since it started."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Counters", "Histogram"]

FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""From a fan-out to a few clients to one that holds everybody up (seconds)."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384)
"""From a lone message to all that many small reads bring (messages)."""


class Histogram:
    """How often a value was at most each of ``bounds``, and more than the last; and the sum of all."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds: Sequence[float] = bounds
        self.counts: list[int] = [0] * (len(bounds) + 1)
        self.total: float = 0.0

    def add(self, value: float) -> None:
        """Count a value, in a third of a microsecond."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Counters:
    """
    Totals; those of a client are added when it leaves.

    Attributes:
        connected: clients whose handshake was accepted.
        disconnected: clients that are gone, by the name of the reason.
        refused: connections that never became a client, by HTTP status or what happened.
        messages_in: messages taken from clients.
        bytes_in: bytes of those, as frames; counted when they come.
        bytes_out: bytes of messages, as frames, for all who were to get them; counted when they are fanned
            out.
        messages_out: messages handed to the network, one for each client that got it.
        messages_dropped: messages a policy dropped, likewise.
        messages_discarded: messages read from clients when no room took them any more, because the server was
            shutting down or the client's connection was being closed.
        messages_unsent: messages that were still pending when their client left, likewise.
        messages_late: messages that came when the server had begun to shut down, and were not taken.
        messages_out_of_step: messages sent plain to clients that can inflate, because they had missed one
            that the compressed form refers back to; one for each client.
        messages_unable: messages sent plain to subscribers that cannot inflate, while others in their room
            can; likewise.
        contexts_begun: how often a room began to compress without a past.
        compression_bytes_in, compression_bytes_out: what was compressed, before and after, each message once
            for each form in which it is needed.
        compression_seconds: how long that took, with what other tasks did meanwhile.
        inflated_bytes: what clients had compressed, inflated; those of a client are added when it leaves.
        messages_missed: messages that a client who came back was to get, and that were forgotten by then,
            likewise.
        places_unknown: clients who came back to a place that is none of their room's any more, so that nobody
            knows how many messages they missed.
        batch_messages: how many messages were fanned out together.
        fan_out_seconds: how long a fan-out took, without the wait for the slow.
        loop_lag: how late the event loop ran what was due (seconds); measured only for ``/metrics``.

    """

    connected: int = 0
    disconnected: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    messages_in: int = 0
    messages_out: int = 0
    messages_dropped: int = 0
    messages_unsent: int = 0
    messages_late: int = 0
    messages_discarded: int = 0
    messages_missed: int = 0
    places_unknown: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    messages_out_of_step: int = 0
    messages_unable: int = 0
    contexts_begun: int = 0
    compression_bytes_in: int = 0
    compression_bytes_out: int = 0
    compression_seconds: float = 0.0
    inflated_bytes: int = 0
    batch_messages: Histogram = field(default_factory=lambda: Histogram(SIZES))
    fan_out_seconds: Histogram = field(default_factory=lambda: Histogram(FAST))
    loop_lag: Histogram = field(default_factory=lambda: Histogram(FAST))
