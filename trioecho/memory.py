"""
Memory: how many bytes a server holds for its clients, all together.

Counted is what waits because somebody does not keep up: batches in outboxes, messages and request bodies that
are not complete, publishers whose room is full. Nothing is counted for a client that keeps up, because
nothing waits for it. What several wait for is held once, and counted once.

Whoever holds something has a :class:`Lease` for it. It ends when the lease is freed, with the thing that it
is for; CPython does that at once. So nothing can be held and not counted, or counted and not held, whichever
way it goes.
"""

from __future__ import annotations

import trio

__all__ = ["Lease", "Memory"]


class Memory:
    """
    What one server holds.

    Attributes:
        held: bytes.
        freed: how many bytes were given back in all.
        limit: what may be held; 0: any number.

    """

    __slots__ = ("_waiting", "freed", "held", "limit")

    def __init__(self, limit: int = 0) -> None:
        self.held = 0
        self.freed = 0
        self.limit = limit
        self._waiting: dict[trio.Event, int] = {}  # who waits until more than so much is held

    @property
    def is_over(self) -> bool:
        """Whether more is held than may be."""
        return bool(self.limit) and self.held > self.limit

    def add(self, size: int) -> None:
        """Count so many more bytes."""
        self.held += size
        if self._waiting:
            for event, most in self._waiting.items():
                if self.held > most:
                    event.set()

    async def wait_over(self) -> None:
        """Wait until more is held than may be; a checkpoint in any case."""
        if self.limit:
            await self.wait_above(self.limit)
        else:
            await trio.sleep_forever()

    async def wait_above(self, size: int) -> None:
        """Wait until more than so many bytes are held; a checkpoint in any case."""
        await trio.lowlevel.checkpoint()
        while self.held <= size:
            event = trio.Event()
            self._waiting[event] = size
            try:
                await event.wait()
            finally:
                del self._waiting[event]


class Lease:
    """So many bytes of a memory, for as long as there is this object."""

    __slots__ = ("_memory", "size")

    def __init__(self, memory: Memory, size: int) -> None:
        self._memory = memory
        self.size = size
        memory.add(size)

    def __del__(self) -> None:
        """Give them back. Nobody is woken for it: this may run in any thread that collects garbage."""
        self._memory.held -= self.size
        self._memory.freed += self.size
