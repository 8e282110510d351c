"""
What a node has appended to logs, kept until the engine has it, and a little longer.

An engine that is killed may forget what it has confirmed in the last second or two, and a replica that
takes over may never have had it. So everything is kept for five seconds after it was confirmed, and all of
it is appended again over every new connection; what is there already is left out by the engine, what was
heard already by whoever hears it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import NamedTuple

import trio

__all__ = ["Outgoing", "Sent"]

MOST_BYTES = 4 * 2**20
"""How much may be on its way (bytes); beyond it publishers wait. It is more than a fast engine ever has."""

KEPT_SECONDS = 5.0
KEPT_BYTES = 16 * 2**20
KEPT_BATCHES = 20_000
"""How long, and how much of it, is kept after it was confirmed: it is all appended again after each loss."""


class Sent(NamedTuple):
    """Messages for a room: their number among all batches of the node, how many they are, and their cost."""

    number: int
    room: str
    messages: int
    frames: bytes
    cost: int


class Outgoing:
    """
    All that one node has appended and may have to append again.

    Attributes:
        bytes: what is not confirmed.
        resent: how often something was appended again that was not confirmed, or lately.
        never_shared: messages that were dropped because the engine was away too long.

    """

    def __init__(self) -> None:
        self.bytes = 0
        self.resent = self.never_shared = 0
        self._number = 0
        self._unconfirmed: OrderedDict[int, Sent] = OrderedDict()
        self._confirmed: deque[tuple[float, Sent]] = deque()
        self._waiting: dict[int, trio.Event] = {}
        self._confirmed_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether publishers should wait."""
        return self.bytes >= MOST_BYTES

    def __len__(self) -> int:
        """How many batches are not confirmed."""
        return len(self._unconfirmed)

    def add(self, room: str, messages: int, frames: bytes, cost: int) -> Sent:
        """Keep a batch, and give it its number."""
        self._number += 1
        sent = Sent(self._number, room, messages, frames, cost)
        self._unconfirmed[sent.number] = sent
        self.bytes += cost
        return sent

    def drop_oldest(self) -> None:
        """Drop what is over the bound, the oldest first: the engine has been away too long."""
        while self.bytes > MOST_BYTES:
            _, sent = self._unconfirmed.popitem(last=False)
            self.bytes -= sent.cost
            self.never_shared += sent.messages

    def confirm(self, number: int) -> None:
        """Take notice that the engine has a batch."""
        sent = self._unconfirmed.pop(number, None)
        if sent is None:
            return
        self.bytes -= sent.cost
        if self._waiting and (waiting := self._waiting.pop(number, None)) is not None:
            waiting.set()
        now = trio.current_time()
        self._confirmed.append((now, sent))
        self._confirmed_bytes += sent.cost
        self.forget(now)

    async def wait_confirmed(self, number: int) -> None:
        """Wait until the engine has a batch; for one task."""
        if number not in self._unconfirmed:
            await trio.lowlevel.checkpoint()
            return
        confirmed = self._waiting[number] = trio.Event()
        try:
            await confirmed.wait()
        finally:
            self._waiting.pop(number, None)

    def forget(self, now: float) -> None:
        """Forget what was confirmed long ago; only while the engine answers."""
        confirmed = self._confirmed
        while confirmed and (
            confirmed[0][0] < now - KEPT_SECONDS
            or self._confirmed_bytes > KEPT_BYTES
            or len(confirmed) > KEPT_BATCHES
        ):
            self._confirmed_bytes -= confirmed.popleft()[1].cost

    def again(self) -> Iterator[Sent]:
        """Return everything that is to be appended again, in the order in which it was appended first."""
        self.resent += len(self._confirmed) + len(self._unconfirmed)
        for _, sent in self._confirmed:
            yield sent
        yield from self._unconfirmed.values()
