"""The one place that writes to a connection: what the send queue has, slice by slice."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trioecho.client.send_queue import SendQueue

__all__ = ["Writer"]

SLICE = 64 * 1024
"""How much one write gives to the socket (bytes)."""

WAITED = 0.01
"""A write that took longer than this had to wait until the server took something (seconds)."""


class Writer:
    """
    Writes until it is cancelled, or until the server takes nothing more after :meth:`hurry`.

    ``on_empty`` is called whenever everything is written. ``last_sign`` is when the server was last seen to
    take something, which only a write that had to wait can tell.
    """

    def __init__(self, stream: trio.abc.Stream, queue: SendQueue, on_empty: Callable[[], None]) -> None:
        self.last_sign = trio.current_time()
        self._stream = stream
        self._queue = queue
        self._on_empty = on_empty
        self._patience = float("inf")
        self._writing = trio.CancelScope()

    def hurry(self, seconds: float) -> None:
        """From now on, wait at most so long until the server takes the next slice."""
        self._patience = seconds
        self._writing.deadline = trio.current_time() + seconds

    async def run(self) -> None:
        """
        Write frames as they come; returns when the server took nothing in time.

        Raises:
            trio.BrokenResourceError: the connection is gone.

        """
        while True:
            chunk = memoryview(await self._queue.take())
            while chunk:
                started = trio.current_time()
                with trio.CancelScope(deadline=started + self._patience) as self._writing:
                    await self._stream.send_all(chunk[:SLICE])
                if self._writing.cancelled_caught:
                    return
                if trio.current_time() - started > WAITED:
                    self.last_sign = trio.current_time()
                chunk = chunk[SLICE:]
            if self._queue.empty:
                self._on_empty()
