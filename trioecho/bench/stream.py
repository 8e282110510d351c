"""
One publisher's messages on their way: how many are sent, when each was due, and how far everybody has come.

Messages are numbered from 0; message *n* stands in slot ``n % count`` of the ring.
"""

from __future__ import annotations

from trioecho.bench.latency import Latency
from trioecho.bench.messages import Messages

__all__ = ["Stream"]

GONE = 2**62
"""The place of a follower that left: ahead of everybody, so nobody waits for it."""


class Stream:
    """
    The *floor* is the number of messages that every follower has; a window of them may be beyond it.

    ``opened`` is a list that the stream puts itself in whenever its floor has risen: the loop's to-do list.
    """

    __slots__ = (
        "behind",
        "delivered",
        "due",
        "ended",
        "floor",
        "latency",
        "messages",
        "opened",
        "places",
        "sent",
        "window",
    )

    def __init__(self, messages: Messages, window: int, latency: Latency, opened: list[Stream]) -> None:
        self.messages = messages
        self.window = window
        self.latency = latency
        self.opened = opened
        self.places: list[int] = []
        """For each follower, the number of the message it should get next."""
        self.behind = 0
        """How many followers stand at the floor; when the last of them moves, the floor does."""
        self.floor = 0
        self.sent = 0
        self.delivered = 0
        """Messages received, all followers together."""
        self.due = [0] * messages.count
        """When the message in each slot was due."""
        self.ended = False

    def follow(self) -> int:
        """Take in one more follower, for what is sent from now on; returns its index in ``places``."""
        self.places.append(self.sent)
        self.behind += self.sent == self.floor
        return len(self.places) - 1

    @property
    def room(self) -> int:
        """How many messages may be sent now."""
        return 0 if self.over else self.floor + self.window - self.sent

    def send(self, count: int, due: int) -> None:
        """``count`` messages (no more than there is room for) leave now; all were due at ``due``."""
        ring = self.messages.count
        for number in range(self.sent, self.sent + count):
            self.due[number % ring] = due
        self.sent += count

    def received(self, follower: int, count: int, now: int, *, skipped: int = 0) -> None:
        """A follower got its next ``count`` messages, after ``skipped`` that it did not get."""
        before = self.places[follower]
        first, due = before + skipped, self.due
        ring = len(due)
        then = due[first % ring]
        if then == due[(first + count - 1) % ring]:
            self.latency.enter(then, count, now)
        else:
            self.latency.record(due, first, count, now)
        self.delivered += count
        self.places[follower] = first + count
        if before == self.floor:
            self._left_floor()

    def leave(self, follower: int) -> None:
        """A follower is gone: nobody waits for it any longer."""
        before, self.places[follower] = self.places[follower], GONE
        if before == self.floor:
            self._left_floor()

    @property
    def over(self) -> bool:
        """Whether nothing more can be sent: the publisher is gone, or everybody else is."""
        return self.ended or self.floor == GONE

    @property
    def in_flight(self) -> bool:
        """Whether somebody has not got everything yet."""
        return self.floor < self.sent

    def end(self, whole_messages: int) -> None:
        """The publisher is gone, with so many messages sent; what was begun after them does not count."""
        self.sent = min(self.sent, whole_messages)
        self.ended = True

    def _left_floor(self) -> None:
        self.behind -= 1
        if not self.behind:
            self.floor = min(self.places)
            self.behind = self.places.count(self.floor)
            self.opened.append(self)
