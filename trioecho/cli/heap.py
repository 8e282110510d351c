"""
The heap: what clients no longer take is given back to the system.

An allocator keeps what was freed between things that are still in use. After 2,000 clients had each left a
message of 1 MiB unfinished, 640 MB stayed with the process for ever, of which 20 were in use. glibc's
``malloc_trim`` gives back all whole pages that are free, and takes some 0.1 ms for each MB, in which nobody
is served; so it is called again and again while memory is being freed, and not once at the end.

Taking large things from the system one by one (``M_MMAP_THRESHOLD``) needs no calls, but costs a third more
CPU time for every large message.

A command may do this; a library must not do it behind its user's back.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter

import trio

from trioecho.memory import Memory

__all__ = ["can_give_back", "give_back_freed"]

MUCH = 64 * 2**20
"""So much has to be held for clients before there is anything to look after (bytes)."""

STEP = 16 * 2**20
"""So much is freed before it is given back (bytes)."""

LOOK = 0.05
"""How often it is looked after then (seconds)."""

SHARE = 20
"""What took a millisecond is followed by at least 20 without."""


async def give_back_freed(memory: Memory) -> None:
    """Give back to the system what is freed whenever much was held; without glibc, do nothing."""
    give_back = _malloc_trim()
    while give_back is not None:
        await memory.wait_above(MUCH)
        given, over = memory.freed, False
        while not over:
            await trio.sleep(LOOK)
            over = memory.held <= STEP
            if over or memory.freed - given >= STEP:
                given, began = memory.freed, perf_counter()
                give_back()
                await trio.sleep(SHARE * (perf_counter() - began))


def can_give_back() -> bool:
    """Return whether the allocator can be told to."""
    return _malloc_trim() is not None


def _malloc_trim() -> Callable[[], object] | None:
    """Return the allocator's own function, where it has one."""
    with suppress(AttributeError, OSError, TypeError):
        return partial(ctypes.CDLL(None).malloc_trim, 0)
    return None
