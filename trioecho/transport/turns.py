"""
Turns: how those who bring much work share the event loop with everybody else.

A read of 64 KiB may hold ten thousand empty frames, some ten milliseconds of work, and twenty clients that
flood would make everybody wait for all of them in each pass of trio's scheduler. So a client's bytes are
decoded in slices, and a client with more than one slice stands in a line here, of which one goes on in each
pass. A client that sends little at a time never stands in line, and waits for one slice at most.

A request, and the end of a client, is as much work as a slice. One that comes alone is seen to at once; where
they come in numbers, as when a thousand clients leave together, they stand in a line of their own, of which
one goes on in each pass.
"""

from __future__ import annotations

from time import perf_counter

import trio

__all__ = ["Turns"]

LONG_AGO = 0.005
"""Work that began so long ago was in another pass (seconds): a pass takes less."""


class Turns:
    """The lines of one server: first come, first served."""

    __slots__ = ("_begun", "_lock", "_numbers")

    def __init__(self) -> None:
        # trio hands a lock over in the order of arrival, and wakes the next one for the next pass.
        self._lock = trio.Lock()
        self._numbers = trio.Lock()
        self._begun = 0.0  # when the last request or end was begun

    async def take(self) -> None:
        """
        Wait for a turn: a checkpoint in any case, one pass of the scheduler if nobody else is in line.

        What follows, up to the next checkpoint, is the turn. If cancelled, the place in the line is given up.
        """
        await self._lock.acquire()
        self._lock.release()

    async def take_if_many(self) -> None:
        """
        Wait for a turn at a request or an end; without a checkpoint if none was begun just before.

        If cancelled, the place in the line is given up.
        """
        now = perf_counter()
        if now - self._begun > LONG_AGO and not self._numbers.locked():
            self._begun = now
            return
        await self._numbers.acquire()
        self._numbers.release()
        self._begun = perf_counter()
