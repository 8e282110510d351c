"""Connecting: many handshakes at once, in one's own time or a little at a time between other work."""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trioecho.bench.handshake import LATER, WRITE, DialError, Dialled, Handshake, Tickets, said, shake_hands
from trioecho.bench.poll import best_poll
from trioecho.bench.sources import Sources
from trioecho.bench.target import Target

__all__ = ["Dialler", "Route", "find_route"]

TIMEOUT = 20.0
"""Seconds that one handshake may take until it is given up."""

REST = 0.005
"""Seconds until a connection that a Unix socket's full queue refused is tried again, if nothing happens."""

A_FEW = 16
"""So many go on between two looks at the clock."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a server: which of its addresses answers, and how one comes there."""

    target: Target
    family: int
    address: Any
    sources: Sources
    tickets: Tickets | None = None

    def begin(self, path: str) -> tuple[socket.socket, Handshake]:
        """
        Make a connection for this path, whose handshake waits for its first turn.

        Raises:
            OSError: it can come from nowhere, or there can be no such socket.

        """
        try:
            source = self.sources.next(self.family, self.address)
        except LookupError:
            raise OSError(errno.EAFNOSUPPORT, "no --source is an address of its kind") from None
        connection = socket.socket(self.family)
        return connection, shake_hands(
            connection, self.address, self.target, path, source=source, tickets=self.tickets
        )


def find_route(
    target: Target, path: str, sources: Sources, tickets: Tickets | None = None
) -> tuple[Route, Dialled]:
    """
    Find out which of the host's addresses answers, by the first connection; returns both.

    Raises:
        DialError: there is no way to any of them, or it is not a WebSocket server.

    """
    problems: dict[str, None] = {}
    try:
        addresses = target.addresses()
    except OSError as error:
        raise DialError(f"the name {target.address.host} is not known") from error
    for family, address in addresses:
        route = Route(target, family, address, sources, tickets)
        with Dialler(route, [path], at_once=1) as dialler:
            [(_, made)] = dialler.run()
        if not isinstance(made, OSError):
            return route, _connected(made)
        problems[said(made)] = None
    raise DialError(f"cannot connect to {target}: {'; '.join(problems)}")


def _connected(made: Dialled | DialError) -> Dialled:
    if isinstance(made, DialError):
        raise made
    return made


Made = tuple[int, Dialled | DialError | OSError]
"""The number of a path, and the connection that was made for it or why there is none."""


@dataclass(slots=True)
class _Dial:
    """A connection under way: the number of its path, and what it waits for."""

    place: int
    handshake: Handshake
    deadline: float
    awaited: int


class Dialler:
    """
    Makes a connection for each of ``paths``, ``at_once`` of them under way at one time.

    A context manager: what is under way when it is left, or was made and not taken, is closed.
    """

    def __init__(self, route: Route, paths: Iterable[str], *, at_once: int) -> None:
        self._route = route
        self._paths = enumerate(paths)
        self._at_once = at_once
        self._poll = best_poll()
        self._under_way: dict[int, _Dial] = {}
        self._refused: deque[int] = deque()
        """Who has to try again: no event says when a queue has room."""
        self._made: deque[Made] = deque()
        self._begun_all = False

    def __enter__(self) -> Dialler:
        """Begin with :meth:`run` or :meth:`step`."""
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what is not finished."""
        for dial in self._under_way.values():
            dial.handshake.close()
        for _, result in self._made:
            if isinstance(result, tuple):
                result[0].close()
        self._poll.close()

    def fileno(self) -> int:
        """Return a descriptor that can be read when a handshake can go on."""
        return self._poll.fileno()

    @property
    def finished(self) -> bool:
        """Whether each connection was made, or has failed."""
        return self._begun_all and not self._under_way

    @property
    def eager(self) -> bool:
        """Whether there may be connections to begin at once."""
        return not self._begun_all and len(self._under_way) < self._at_once

    def run(self) -> Iterator[Made]:
        """Make all connections; each is given as it is made."""
        while not self.finished:
            self.step(TIMEOUT)
            yield from self.taken()

    def taken(self) -> Iterator[Made]:
        """Give what was made since; from then on a connection is the caller's."""
        while self._made:
            yield self._made.popleft()

    def step(self, wait: float = 0.0, budget: float = TIMEOUT) -> None:
        """
        Go on with the handshakes, after waiting up to ``wait`` seconds if there is nothing to go on with.

        Works for about ``budget`` seconds, and leaves the rest for the next time.
        """
        until = time.monotonic() + budget
        while self.eager and time.monotonic() < until:
            if (following := next(self._paths, None)) is None:
                self._begun_all = True
            else:
                self._begin(*following)
        if not self._under_way:
            return
        # The oldest comes first: a server that sends its answer byte by byte gains nothing by it.
        oldest = next(iter(self._under_way.values())).deadline - time.monotonic()
        wait = 0.0 if self._made else max(0.0, min(wait, oldest, REST if self._refused else wait))
        while ready := self._poll.wait(wait, A_FEW):
            for number, _ in ready:
                self._advance(number)
            wait = 0.0
            if not self._under_way or time.monotonic() >= until:
                break
        self._try_again(until)
        self._expire()

    def _try_again(self, until: float) -> None:
        """Let those in again whom a full queue has refused, as far as it has room."""
        while self._refused and time.monotonic() < until:
            number = self._refused.popleft()
            dial = self._under_way.get(number)
            if dial and dial.awaited == LATER:
                self._advance(number)
                if self._refused and self._refused[-1] == number:
                    return

    def _begin(self, place: int, path: str) -> None:
        try:
            connection, handshake = self._route.begin(path)
            awaited = next(handshake)
        except (DialError, OSError) as error:
            self._made.append((place, error))
            return
        # Kept by number: the TLS layer puts another object over the same descriptor.
        self._under_way[connection.fileno()] = _Dial(place, handshake, time.monotonic() + TIMEOUT, awaited)
        self._await(connection.fileno(), awaited)

    def _await(self, number: int, awaited: int) -> None:
        if awaited == LATER:
            self._refused.append(number)
        else:
            self._poll.watch(number, writing=awaited == WRITE)

    def _advance(self, number: int) -> None:
        dial = self._under_way[number]
        result: Dialled | DialError | OSError
        try:
            awaited = next(dial.handshake)
        except StopIteration as finished:
            result = finished.value
        except (DialError, OSError) as error:
            result = error
        else:
            if awaited != dial.awaited or awaited == LATER:
                dial.awaited = awaited
                self._await(number, awaited)
            return
        self._forget(number)
        self._made.append((dial.place, result))

    def _expire(self) -> None:
        now = time.monotonic()
        while self._under_way:
            number, dial = next(iter(self._under_way.items()))
            if dial.deadline > now:
                return
            self._forget(number)
            dial.handshake.close()
            problem = f"{self._route.target} left a handshake waiting for {TIMEOUT:g} s"
            self._made.append((dial.place, DialError(problem)))

    def _forget(self, number: int) -> None:
        if self._under_way.pop(number).awaited != LATER:
            self._poll.forget(number)
