"""Finding out that a server has silently gone: pings, and any sign of life after them."""

from __future__ import annotations

from collections.abc import Callable

import trio

__all__ = ["watch"]

STOPPED = 1.0
"""A task that wakes so much too late (seconds) was in a process that had been stopped, or starved."""


async def watch(
    interval: float, patience: float, *, ping: Callable[[], None], alive: Callable[[float], bool]
) -> None:
    """
    Ping every ``interval`` seconds; returns when ``patience`` seconds after a ping the server is not alive.

    ``alive`` says whether there was a sign of life since a time, or no way of noticing one.
    """
    while True:
        await trio.sleep(interval)
        asked = trio.current_time()
        ping()
        await trio.sleep(patience)
        if trio.current_time() - asked - patience > STOPPED:
            continue  # We were stopped, as by Ctrl-Z; what came meanwhile has yet to be read.
        if not alive(asked):
            return
