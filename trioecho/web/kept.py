"""
What is worked out for whoever asks, and kept for a moment, so that asking often does not cost often.

Stats and metrics are added up over all clients when somebody asks. Whoever asks as fast as they can would
have the server do nothing else. So what was worked out is kept for :data:`SHARE` times as long as that took:
however many ask, and however large the server is, it takes at most a small share of the server's time.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Generic, TypeVar

import trio

__all__ = ["SHARE", "Kept"]

SHARE = 20
"""What took a millisecond is kept for 20: a twentieth of the time at most goes into working it out."""

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The last value of ``work``, as long as it is fresh."""

    __slots__ = ("_until", "_value", "_work")

    def __init__(self, work: Callable[[], Value]) -> None:
        self._work = work
        self._until = -1.0
        self._value: Value | None = None

    def get(self) -> Value:
        """Return the value, worked out anew if it is not fresh any more; what ``work`` raises is raised."""
        if self._value is None or trio.current_time() >= self._until:
            began = perf_counter()
            self._value = self._work()
            self._until = trio.current_time() + SHARE * (perf_counter() - began)
        return self._value
