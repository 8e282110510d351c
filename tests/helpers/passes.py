"""The passes of trio's scheduler, counted: who does how much in each of them."""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["passes"]


async def passes(until: Callable[[], bool], count: Callable[[], int]) -> list[int]:
    """
    Say for each pass of the scheduler by how much ``count`` grew in it.

    This task's place within a pass is random, so that what happens once in each pass may seem to happen twice
    in one of them.
    """
    grown = []
    while not until():
        before = count()
        await trio.lowlevel.checkpoint()
        grown.append(count() - before)
    return grown
