"""Leaving at a signal: politely at the first one, at once at the second."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

__all__ = ["Interrupted", "Leaving", "leaving_at_signals"]


class Interrupted(Exception):
    """A signal came when there was nothing to leave politely, or a second one."""


class Leaving:
    """What a first signal ends: the block of :meth:`politely`, and nothing around it."""

    def __init__(self) -> None:
        self.interrupted = False
        self._scope: trio.CancelScope | None = None

    @contextmanager
    def politely(self) -> Iterator[None]:
        """Do in this block what the signal ends, and around it what then has to be done to leave."""
        with trio.CancelScope() as self._scope:
            try:
                yield
            finally:
                self._scope = None

    def leave(self) -> bool:
        """End the block; False if none is running."""
        if self._scope is None:
            return False
        self._scope.cancel()
        return True


@asynccontextmanager
async def leaving_at_signals() -> AsyncIterator[Leaving]:
    """
    Watch for SIGINT and SIGTERM while this block runs.

    Raises:
        Interrupted: the block was cancelled, because there was nothing (more) to leave politely.

    """
    leaving, outcome = Leaving(), None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, leaving, nursery.cancel_scope)
            try:
                yield leaving
            except Exception as error:
                outcome = error
            nursery.cancel_scope.cancel()
    if outcome is not None:
        raise outcome
    if leaving.interrupted:
        raise Interrupted


async def _watch(signals: AsyncIterator[int], leaving: Leaving, everything: trio.CancelScope) -> None:
    async for _ in signals:
        if not leaving.leave():
            leaving.interrupted = True
            everything.cancel()
