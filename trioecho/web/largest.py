"""The largest of many, found while going through them once."""

from __future__ import annotations

from heapq import heappush, heapreplace
from itertools import count
from typing import Generic, TypeVar

__all__ = ["Largest"]

Thing = TypeVar("Thing")


class Largest(Generic[Thing]):
    """The ``most`` largest of what is added; whatever is not among them is let go at once."""

    __slots__ = ("_heap", "_most", "_numbers")

    def __init__(self, most: int) -> None:
        self._most = most
        # With a number, so that things of one size need not be comparable.
        self._heap: list[tuple[int, int, Thing]] = []
        self._numbers = count()

    def add(self, size: int, thing: Thing) -> None:
        """Take notice of a thing; what costs nothing for most of them."""
        if len(self._heap) < self._most:
            heappush(self._heap, (size, -next(self._numbers), thing))
        elif size > self._heap[0][0]:
            heapreplace(self._heap, (size, -next(self._numbers), thing))

    def in_order(self) -> list[Thing]:
        """Return them, the largest first, and of one size those that were added first."""
        return [thing for _, _, thing in sorted(self._heap, key=lambda each: each[:2], reverse=True)]
