"""Signals: the first closes the connection properly, the second ends the command at once."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

__all__ = ["Interrupted", "SignalHandler", "handle_signals"]


class Interrupted(Exception):
    """A signal came when nothing could be ended properly, or a second one did."""


class SignalHandler:
    """What the first signal ends: the block of :meth:`interruptible`, and nothing around it."""

    def __init__(self) -> None:
        self.interrupted = False
        self._scope: trio.CancelScope | None = None

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Do in this block what the first signal ends, and around it what is needed to end properly."""
        with trio.CancelScope() as self._scope:
            try:
                yield
            finally:
                self._scope = None

    def interrupt(self) -> bool:
        """End the block; False if none is running."""
        if self._scope is None:
            return False
        self._scope.cancel()
        return True


@asynccontextmanager
async def handle_signals() -> AsyncIterator[SignalHandler]:
    """
    Handle SIGINT and SIGTERM while this block runs.

    Raises:
        Interrupted: the block was cancelled, because nothing (more) could be ended properly.

    """
    handler, outcome = SignalHandler(), None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, handler, nursery.cancel_scope)
            try:
                yield handler
            except Exception as error:
                outcome = error
            nursery.cancel_scope.cancel()
    if outcome is not None:
        raise outcome
    if handler.interrupted:
        raise Interrupted


async def _watch(signals: AsyncIterator[int], handler: SignalHandler, everything: trio.CancelScope) -> None:
    async for _ in signals:
        if not handler.interrupt():
            handler.interrupted = True
            everything.cancel()
