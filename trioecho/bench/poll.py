"""
Waiting for many sockets at once: epoll itself where the system has it, else what ``selectors`` finds.

``selectors`` makes an object of every socket that is ready, which is a twentieth of what a read costs here.
"""

from __future__ import annotations

import select
import selectors
from contextlib import suppress
from typing import Protocol

__all__ = ["EpollPoll", "Poll", "SelectorPoll", "best_poll"]

MANY = 2**20
"""More descriptors than a process may have."""

EPOLLIN, EPOLLOUT = 0x001, 0x004
"""As in ``select``, which has them on Linux only."""


class Poll(Protocol):
    """
    The sockets that are waited for, by their descriptors.

    Attributes:
        writable: the bit that says that a socket can be written to, in what :meth:`wait` returns; any other
            bit says that there is something to read, if only the end.

    """

    writable: int

    def watch(self, number: int, *, writing: bool = False) -> None:
        """Wait until this one can be read, and with ``writing`` or written to; replaces what was before."""

    def forget(self, number: int) -> None:
        """Wait for it no more; it may be closed already."""

    def wait(self, timeout: float, most: int = MANY) -> list[tuple[int, int]]:
        """Wait up to ``timeout`` seconds; return the descriptors that are ready, each with its bits."""

    def fileno(self) -> int:
        """Return a descriptor that can be read when any of the sockets is ready."""

    def close(self) -> None:
        """Wait for nothing any more."""


class EpollPoll:
    """Linux's epoll."""

    writable = EPOLLOUT

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: set[int] = set()

    def watch(self, number: int, *, writing: bool = False) -> None:
        """Wait for it."""
        events = EPOLLIN | EPOLLOUT if writing else EPOLLIN
        if number in self._watched:
            self._epoll.modify(number, events)
        else:
            self._epoll.register(number, events)
            self._watched.add(number)

    def forget(self, number: int) -> None:
        """Wait for it no more."""
        self._watched.remove(number)
        # A descriptor that is closed is out of it by itself.
        with suppress(OSError):
            self._epoll.unregister(number)

    def wait(self, timeout: float, most: int = MANY) -> list[tuple[int, int]]:
        """Wait for any of them."""
        return self._epoll.poll(timeout, min(most, len(self._watched) or 1))

    def fileno(self) -> int:
        """Return epoll's own descriptor."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close epoll."""
        self._epoll.close()


class SelectorPoll:
    """Whatever the system has, through ``selectors``."""

    writable = selectors.EVENT_WRITE

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, number: int, *, writing: bool = False) -> None:
        """Wait for it."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        try:
            self._selector.modify(number, events)
        except KeyError:
            self._selector.register(number, events)

    def forget(self, number: int) -> None:
        """Wait for it no more."""
        self._selector.unregister(number)

    def wait(self, timeout: float, most: int = MANY) -> list[tuple[int, int]]:
        """Wait for any of them."""
        return [(key.fd, events) for key, events in self._selector.select(timeout)[:most]]

    def fileno(self) -> int:
        """Return the selector's own descriptor."""
        return self._selector.fileno()

    def close(self) -> None:
        """Close the selector."""
        self._selector.close()


def best_poll() -> Poll:
    """Return the fastest there is."""
    return EpollPoll() if hasattr(select, "epoll") else SelectorPoll()
