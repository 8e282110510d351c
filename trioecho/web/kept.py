"""
What is added up for whoever asks, and kept for a moment, so that asking often does not cost often.

Stats and metrics are added up over all clients when somebody asks. Whoever asks as fast as they can would
have the server do nothing else. So what was added up is kept for :data:`SHARE` times as long as that took:
however many ask, and however large the server is, it takes at most a small share of the server's time. And
it is done in slices, between which others get their turn, so that nobody waits for all of it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Generic, TypeVar

import trio

__all__ = ["SHARE", "SLICE", "Kept", "Slices"]

SHARE = 20
"""What took a millisecond is kept for 20: a twentieth of the time at most goes into working it out."""

SLICE = 500
"""So many clients are added up before others get their turn: half a millisecond."""

Value = TypeVar("Value")
Thing = TypeVar("Thing")


class Slices:
    """Goes through many things in slices; ``waited`` is how long others had their turn (seconds)."""

    def __init__(self) -> None:
        self.waited = 0.0

    async def each(self, things: Iterable[Thing], take: Callable[[Thing], None]) -> None:
        """Call ``take`` with each of ``things``, as they are now."""
        for number, thing in enumerate(list(things)):
            if number and number % SLICE == 0:
                with self.waiting():
                    await trio.lowlevel.checkpoint()
            take(thing)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the length of a ``with`` block as time in which others had their turn."""
        began = perf_counter()
        try:
            yield
        finally:
            self.waited += perf_counter() - began


class Kept(Generic[Value]):
    """
    The last value of ``work``, as long as it is fresh. One is worked out at a time, for all who ask.

    It is kept no longer than ``longest`` (seconds), whatever ``work`` took. Whoever has waited since before
    it was begun takes it, fresh or not: if ``work`` has to wait, all who ask at a time wait twice at most.
    """

    __slots__ = ("_began", "_longest", "_until", "_value", "_work", "_working")

    def __init__(self, work: Callable[[Slices], Awaitable[Value]], *, longest: float = math.inf) -> None:
        self._work = work
        self._longest = longest
        self._working = trio.Lock()
        self._began = self._until = -math.inf
        self._value: Value | None = None

    async def get(self) -> Value:
        """Return the value, worked out anew if it is not fresh any more; what ``work`` raises is raised."""
        if self._value is not None and trio.current_time() < self._until:
            return self._value
        asked = trio.current_time()
        async with self._working:
            if self._value is None or (trio.current_time() >= self._until and self._began < asked):
                at, slices, began = trio.current_time(), Slices(), perf_counter()
                self._value = await self._work(slices)
                self._began = at
                took = perf_counter() - began - slices.waited
                self._until = trio.current_time() + min(SHARE * took, self._longest)
            return self._value
