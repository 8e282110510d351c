"""
Patience: how long a room waits, under the policy ``wait``, for those whose outboxes are full.

What a slow member gets from the room's patience, the others pay for: nothing is fanned out meanwhile. So
there is one limit for everybody, and one for those who come back:

- Who is full has the stall limit to catch up; all have it at the same time, not one after another.
- Who was disconnected for slowness lately is not waited for again.

Two more hold while most of the others have taken all they have got, and are held up:

- Who has never kept up, because it was full soon after it came, is not waited for.
- A room waits for a share of its time at most (``stall_share``); when that is spent, who is full goes at
  once, the slowest first.

When most of the others are busy themselves, the publishers are simply faster than the room. Then waiting is
what slows them down. And when there is nobody else, one slow listener sets the pace of its publisher.

All of this is asked only when somebody is full. Who keeps up costs nothing, not even a number to remember.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import trio

from trioecho.disconnect import NEVER_KEPT_UP, OVER_SHARE, SLOW, SLOW_AGAIN, Disconnect
from trioecho.rooms.batch import Batch
from trioecho.rooms.fan_out import offer
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.slow_history import SlowHistory
from trioecho.settings import Settings

__all__ = ["Patience"]

NEWCOMER = 30.0
"""Who is full within so many seconds of coming has never kept up. One that does not read at all is full
sooner in a room that brings 300 kB a second: beside the outbox, a kernel keeps some megabytes for it."""

LOOK_AGAIN = 0.02
"""While most others are busy, how soon it is looked again whether they still are (seconds)."""

AT_ONCE = 10
"""So many are disconnected before other tasks run: with all that follows, each takes some 0.1 ms."""


class Patience:
    """
    The patience of one room; ``history`` is that of all rooms of the server.

    Its time to wait is like a bucket: it holds one stall limit, and ``stall_share`` seconds flow in a second.
    """

    def __init__(self, settings: Settings, history: SlowHistory) -> None:
        self._stall_limit = settings.stall_limit
        self._share = settings.stall_share
        self._history = history
        self._spare = self._stall_limit if self._share else 0.0
        self._spare_at = 0.0
        self._drain_from = self._drain_by = math.inf
        # Of the wait that goes on: who has made space, since when it counts, and when to look again.
        self._progress: trio.Event | None = None
        self._freed: set[Outbox] = set()
        self._again: set[Outbox] = set()
        self._counts_since: float | None = None
        self._look_at = 0.0

    def on_space(self, outbox: Outbox) -> None:
        """Take notice that an outbox has space again, or that its client is gone."""
        if self._progress is not None:
            self._freed.add(outbox)
            self._progress.set()

    def drain(self, deadline: float) -> None:
        """
        Wait no longer than until ``deadline``, because the room drains.

        For each slow member half of that time at most, so that those who are held up by another can still
        take what the room holds for them.
        """
        self._drain_from, self._drain_by = trio.current_time(), deadline
        self._look_at = 0.0
        if self._progress is not None:
            self._progress.set()

    async def wait_for(self, held: dict[Outbox, Batch], members: Mapping[Any, Outbox]) -> None:
        """
        Wait until those in ``held`` have room for the batch they still have to get, and offer it to them.

        Those who take too long are disconnected. ``members`` are all who are in the room.
        """
        # All of them first: some may have made space while the fan-out went on.
        self._freed = set(held)
        self._look_at = 0.0
        self._again = set() if self._share == 1 else self._known_slow(held)
        try:
            while held:
                self._progress = trio.Event()
                freed, self._freed = self._freed, set()
                for outbox in freed:
                    if outbox in held and offer(outbox, held[outbox]):
                        del held[outbox]
                if held and trio.current_time() >= self._look_at:
                    await self._disconnect(held, self._over(held, members.values()))
                if held:
                    with trio.move_on_at(self._look_at):
                        await self._progress.wait()
        finally:
            self._progress = None
            self._freed.clear()
            self._again.clear()
            if self._counts_since is not None:
                now = trio.current_time()
                self._spare = max(0.0, self._spare - (now - self._counts_since))
                self._spare_at, self._counts_since = now, None

    def _known_slow(self, held: Iterable[Outbox]) -> set[Outbox]:
        """Return those that were disconnected for slowness lately."""
        if not len(self._history):
            return set()
        return {outbox for outbox in held if outbox.owner and self._history.was_slow(outbox.owner.known_as)}

    def _over(
        self, held: Mapping[Outbox, Batch], everybody: Iterable[Outbox]
    ) -> list[tuple[Outbox, Disconnect]]:
        """Return those whose time is over, the slowest first; and set when to look again."""
        now = trio.current_time()
        if self._counts_since is None and self._share < 1 and _others_are_ready(held, everybody):
            self._counts_since = now
            self._spare = min(self._stall_limit, self._spare + (now - self._spare_at) * self._share)
        self._look_at = math.inf if self._counts_since is not None or self._share == 1 else now + LOOK_AGAIN
        over = []
        for outbox in held:
            since = now if outbox.full_since is None else outbox.full_since
            deadline, why = self._deadline(outbox, since)
            if deadline <= now:
                over.append((since, outbox, why))
            else:
                self._look_at = min(self._look_at, deadline)
        return [(outbox, why) for _, outbox, why in sorted(over, key=lambda one: one[0])]

    def _deadline(self, outbox: Outbox, since: float) -> tuple[float, Disconnect]:
        """Return until when (trio time) an outbox that is full may hold the room, and why no longer."""
        if outbox in self._again:
            return since, SLOW_AGAIN
        deadline, why = since + self._stall_limit, SLOW
        if self._counts_since is not None:
            if outbox.owner is not None and since - outbox.owner.joined_at < NEWCOMER:
                return since, NEVER_KEPT_UP
            if (spent := self._counts_since + self._spare) < deadline:
                deadline, why = spent, OVER_SHARE
        if self._drain_by < math.inf:
            half = (self._drain_by - self._drain_from) / 2
            deadline = min(deadline, max(since, self._drain_from) + half, self._drain_by)
        return deadline, why

    async def _disconnect(self, held: dict[Outbox, Batch], over: Iterable[tuple[Outbox, Disconnect]]) -> None:
        """Disconnect those whose time is over, and remember them; let other tasks run on the way."""
        for number, (outbox, why) in enumerate(over, 1):
            batch, owner = held.pop(outbox), outbox.owner
            if owner is None or offer(outbox, batch):
                continue  # it is gone, or has made space, while others were disconnected
            self._history.remember(owner.known_as)
            outbox.disconnect(why, batch)
            if not number % AT_ONCE:
                await trio.lowlevel.checkpoint()


def _others_are_ready(held: Mapping[Outbox, Batch], everybody: Iterable[Outbox]) -> bool:
    """Whether most of those who are not full have nothing left to take but what was last fanned out."""
    last = max(batch.cost for batch in held.values())
    others = ready = 0
    for outbox in everybody:
        # Who has never been sent anything only publishes: to be slowed down is what it is owed.
        if outbox.sent and outbox not in held:
            others += 1
            ready += outbox.pending_bytes <= last
    return others > 0 and ready * 2 >= others
