"""
One client's part in a crowd: what it sends and when, and what it must get.

Each client's messages are planned before, so a receiver knows what must come next from each sender: a
message that is lost, doubled, changed, out of order, from another room or its own fails at once. A message
names its room, sender and number; those too short for that are sent by each room's first client only.

A client is at most ``WINDOW`` messages ahead of every other in its room, so that all of them keep up.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

__all__ = ["Part", "planned"]

Message = str | bytes

KIB, MIB = 2**10, 2**20

LABEL = 12
"""How many characters of a message say where it comes from."""

WINDOW = 4

EDGES = [LABEL, 125, 126, 127, 65_535, 65_536, 65_537, MIB]
"""Sizes at which a frame's header changes, and the largest that is allowed (bytes)."""


def planned(room: int, sender: int, count: int) -> list[Message]:
    """Plan one client's messages: text and binary, from nothing to 1 MiB, most of them small."""
    chance = random.Random(room * 1000 + sender)
    messages: list[Message] = []
    for number in range(count):
        size = chance.randint(LABEL, KIB)
        if (rare := chance.random()) > 0.85:
            size = chance.randint(KIB, 16 * KIB)
        if rare > 0.97:
            size = chance.choice(EDGES) if rare > 0.99 else chance.randint(16 * KIB, 128 * KIB)
        if sender == 0 and number % 4 == 0:
            size = chance.randint(0, LABEL - 1)
        label = f"{room:03}{sender:03}{number:06}"[:size]
        fill = size - len(label)
        if chance.random() < 0.5:
            messages.append(label + chance.choice("aé")[: fill and 1] * (fill // 2) + "z" * (fill % 2))
        else:
            messages.append(label.encode() + chance.randbytes(1) * fill)
    return messages


class Part:
    """
    One client's part: what it sends and when, and what it must get.

    Attributes:
        order: what it got, as sender and number.
        code: the close code it got in the end.
        longest_wait: its longest wait for a message while it had to get more (seconds).

    """

    def __init__(self, plans: list[list[Message]], room: int, me: int, told: Callable[[str], None]) -> None:
        self.room = room
        self.me = me
        self.order: list[tuple[int, int]] = []
        self.code = 0
        self.longest_wait = 0.0
        self._plans = plans
        self._sent = 0
        self._got = [0] * len(plans)
        self._wanted = sum(len(plan) for sender, plan in enumerate(plans) if sender != me)
        self._told = told
        self._since = 0.0

    def begin(self) -> None:
        """Everybody is there."""
        self._since = time.monotonic()

    def end(self, code: int) -> None:
        """Take the end of the connection, which must be the server's shutdown."""
        assert code == 1001, f"client {self.me} of room {self.room} was closed with {code}"
        self.code = code

    def to_send(self) -> Message | None:
        """Return the next message if it may be sent now."""
        behind = min(got for sender, got in enumerate(self._got) if sender != self.me)
        if self._sent == len(self._plans[self.me]) or self._sent >= behind + WINDOW:
            return None
        self._sent += 1
        return self._plans[self.me][self._sent - 1]

    def take(self, message: Message) -> None:
        """Check a message that came."""
        sender = 0
        if len(message) >= LABEL:
            label = message[:LABEL] if isinstance(message, str) else message[:LABEL].decode()
            assert int(label[:3]) == self.room, "a message of another room"
            sender = int(label[3:6])
        assert sender != self.me, "a message of its own"
        number = self._got[sender]
        assert number < len(self._plans[sender]), "a message too many"
        expected = self._plans[sender][number]
        assert type(message) is type(expected) and message == expected, f"not message {number} of {sender}"
        self._got[sender] += 1
        self.order.append((sender, number))
        now = time.monotonic()
        self.longest_wait = max(self.longest_wait, now - self._since)
        self._since = now
        if len(self.order) == self._wanted // 2:
            self._told("half")
        if len(self.order) == self._wanted:
            self._told("all")
