"""How a reader shares the processor: with the other tasks, and sometimes with other programs."""

from __future__ import annotations

import time

import trio

__all__ = ["Turns"]

EVENTS_A_TURN = 256
"""So many frames are handled before other tasks get a turn: one read may hold 32,000 empty ones."""


class Turns:
    """
    Counts what a reader handles, and lets others run in between.

    With ``resting``, the reader rests as long as it has worked. That is for the end of a connection, when we
    only wait for a close frame: a server that sends at full speed meanwhile would otherwise keep a whole core
    busy with messages that nobody wants.
    """

    def __init__(self) -> None:
        self._handled = 0
        self._began = time.perf_counter()

    def begin(self) -> None:
        """Start to work: the reader has not been waiting for the processor until now."""
        self._began = time.perf_counter()

    async def handled(self, *, resting: bool) -> None:
        """One more frame was handled."""
        self._handled += 1
        if self._handled % EVENTS_A_TURN == 0:
            await self.give(resting=resting)

    async def give(self, *, resting: bool) -> None:
        """Let others run now."""
        if resting:
            await trio.sleep(time.perf_counter() - self._began)
        else:
            await trio.lowlevel.checkpoint()
        self._began = time.perf_counter()
