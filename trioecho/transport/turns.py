"""
Turns: how those who bring much work share the event loop with everybody else.

A read of 64 KiB may hold ten thousand empty frames, some ten milliseconds of work, and twenty clients that
flood would make everybody wait for all of them in each pass of trio's scheduler. So a client's bytes are
decoded in slices, and a client with more than one slice stands in a line here, of which one goes on in each
pass. A client that sends little at a time never stands in line, and waits for one slice at most.
"""

from __future__ import annotations

import trio

__all__ = ["Turns"]


class Turns:
    """The line of one server: first come, first served."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = trio.Lock()

    async def take(self) -> None:
        """
        Wait for a turn: a checkpoint in any case, one pass of the scheduler if nobody else is in line.

        What follows, up to the next checkpoint, is the turn. If cancelled, the place in the line is given up.
        """
        # trio hands a lock over in the order of arrival, and wakes the next one for the next pass.
        await self._lock.acquire()
        self._lock.release()
