"""How long a server may still keep us waiting once we have nothing more to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

__all__ = ["Patience"]


class Patience:
    """
    Seconds of waiting for the server, in all, counted from :meth:`begin`; before that, no limit.

    Only the waiting in :meth:`waiting` counts, so a program that is slow to take messages does not use it up.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._since: float | None = None
        self._scope = trio.CancelScope()

    def limit(self, seconds: float) -> None:
        """Wait no longer than this from now on."""
        self._left = min(self._left, seconds)
        if self._since is not None:
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + self._left)

    def begin(self) -> None:
        """Nothing more will be written: let the time run."""
        if self._since is None:
            self._since = trio.current_time()
            self._scope.deadline = self._since + self._left

    @contextmanager
    def waiting(self) -> Iterator[trio.CancelScope]:
        """Wait for the server in this block; the scope is cancelled when patience is at its end."""
        started = trio.current_time()
        with trio.CancelScope() as self._scope:
            if self._since is not None:
                self._scope.deadline = started + self._left
            yield self._scope
        if self._since is not None:
            self._left -= trio.current_time() - max(started, self._since)
