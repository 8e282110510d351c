"""Nurseries whose errors come out as themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

__all__ = ["open_plain_nursery", "ungrouped"]


@contextmanager
def ungrouped() -> Iterator[None]:
    """
    Let an error out of the groups that nurseries put around it, if it is alone in them.

    Several that happened at the same time stay in their group.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        alone: BaseException = group
        while isinstance(alone, BaseExceptionGroup) and len(alone.exceptions) == 1:
            alone = alone.exceptions[0]
        if alone is group:
            raise
        context = alone.__context__
        try:
            raise alone
        finally:
            alone.__context__ = context
            del alone, group  # they hold this frame, which would hold them


@asynccontextmanager
async def open_plain_nursery() -> AsyncIterator[trio.Nursery]:
    """Open a nursery; an error of one of its tasks, or of the block, is raised as it is."""
    with ungrouped():
        async with trio.open_nursery() as nursery:
            yield nursery
