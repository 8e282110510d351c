"""The loop over all sockets: read what is there, send what is due, drop the connections that are gone."""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from time import perf_counter_ns

from trioecho.bench.pace import NEVER, SECOND, Pace, Silence
from trioecho.bench.poll import best_poll
from trioecho.bench.receiver import Disconnected, Receiver
from trioecho.bench.stream import Stream
from trioecho.bench.track import Faults
from trioecho.system_errors import reason_of

__all__ = ["Loop"]

TICK = 0.05
"""The longest wait for a socket (seconds): deadlines and the display of progress come in between."""

AT_ONCE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""``struct linger``: a close with nothing to linger for is a reset."""


class Loop:
    """
    The receivers of a run and the one place where they wait.

    ``opened`` is filled by the streams: those whose window may have become wider.
    """

    def __init__(self, faults: Faults, opened: list[Stream]) -> None:
        # Made before any connection, so that its descriptor is small enough for select() to wait for.
        self._poll = best_poll()
        self._by_number: dict[int, Receiver] = {}
        self._faults = faults
        self._opened = opened
        self._publishers: dict[Stream, Receiver] = {}
        self.receivers: set[Receiver] = set()
        """The connections that are open."""
        self.pace: Pace = Silence()
        self.closing = False
        """From then on a connection that ends is not a fault."""
        self.background: Callable[[], bool] | None = None
        """
        Called in every turn for a little other work, such as handshakes. It says whether there is more to do
        at once; else the loop waits, for what it was told to :meth:`also_wait_for` as well.
        """
        self._eager = False

    def also_wait_for(self, number: int) -> None:
        """Turn when this descriptor can be read, too."""
        self._poll.watch(number)

    def no_longer_wait_for(self, number: int) -> None:
        """It is about to be closed."""
        self._poll.forget(number)

    def add(self, receiver: Receiver, early: bytes) -> None:
        """Add a connected receiver; ``early`` is what came together with the answer to its handshake."""
        self.receivers.add(receiver)
        if receiver.connection.stream:
            self._publishers[receiver.connection.stream] = receiver
        self._by_number[receiver.connection.socket.fileno()] = receiver
        self._poll.watch(receiver.connection.socket.fileno())
        try:
            receiver.begin(early)
        except Disconnected as gone:
            self.drop(receiver, str(gone))

    def run(self, until: int, on_tick: Callable[[int], bool]) -> None:
        """
        Turn until ``until``, or until ``on_tick``, called every ``TICK`` with the time, says to stop.

        A turn takes whatever the kernel has ready; what is due in between goes out in between.
        """
        pace, opened, by_number, writable = self.pace, self._opened, self._by_number, self._poll.writable
        next_tick = 0
        while (now := perf_counter_ns()) < until:
            if now >= next_tick:
                next_tick = now + int(TICK * SECOND)
                if on_tick(now):
                    return
            events = self._wait(now)
            for number, bits in events:
                receiver = by_number.get(number)
                if receiver is None:  # gone since, or the background's
                    continue
                try:
                    if bits != writable:
                        receiver.readable()
                    if bits & writable or receiver.connection.blocked:
                        self._attempt(receiver, receiver.connection.flush)
                except Disconnected as gone:
                    self.drop(receiver, str(gone))
                if opened:
                    self._send_opened()
                if pace.next_due < NEVER and pace.next_due <= perf_counter_ns():
                    self._send_due()
            self._send_due()
            self._eager = self.background is not None and self.background()
            if pause := pace.pause():
                time.sleep(pause)

    def start(self) -> None:
        """Give every stream its first turn."""
        self._opened.extend(self._publishers)
        self._send_opened()

    def send_control(self, receiver: Receiver, opcode: int, payload: bytes) -> None:
        """Send a control frame to the server, or drop the connection if that fails."""
        self._attempt(receiver, lambda: receiver.connection.control(opcode, payload))

    def drop(self, receiver: Receiver, reason: str) -> None:
        """A connection is over: nobody waits for it any longer, and what it did not get is lost."""
        self._close(receiver)
        receiver.finish()
        if not self.closing:
            self._faults.disconnect(reason)

    def cut(self, receiver: Receiver) -> None:
        """Reset a connection, as if its network were gone: what it did not get yet is not meant for it."""
        receiver.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        self._close(receiver)
        receiver.leave()

    def _close(self, receiver: Receiver) -> None:
        connection = receiver.connection
        self.receivers.discard(receiver)
        self._poll.forget(connection.socket.fileno())
        del self._by_number[connection.socket.fileno()]
        connection.socket.close()
        if connection.stream:
            connection.stream.end(connection.whole_messages)

    def close(self) -> None:
        """Close the connections that are left."""
        for receiver in list(self.receivers):
            self.drop(receiver, "")
        self._poll.close()

    def _wait(self, now: int) -> list[tuple[int, int]]:
        due = self.pace.next_due
        if self._eager:
            return self._poll.wait(0)
        if due == NEVER:
            return self._poll.wait(TICK)
        found = self._poll.wait(0)
        if not found and due > now:
            # epoll counts in milliseconds, too coarse for a pace; but select() can wait for the epoll itself.
            select.select([self._poll.fileno()], [], [], min((due - now) / SECOND, TICK))
            found = self._poll.wait(0)
        return found

    def _send_opened(self) -> None:
        now = perf_counter_ns()
        while self._opened:
            stream = self._opened.pop()
            count = self.pace.opened(stream, now)
            if count:
                self._publish(stream, count, now)

    def _send_due(self) -> None:
        while found := self.pace.due(perf_counter_ns()):
            self._publish(found[0], 1, found[1])

    def _publish(self, stream: Stream, count: int, due: int) -> None:
        receiver = self._publishers[stream]
        self._attempt(receiver, lambda: receiver.connection.publish(count, due))

    def _attempt(self, receiver: Receiver, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self.drop(receiver, reason_of(error))
        else:
            self._watch(receiver)

    def _watch(self, receiver: Receiver) -> None:
        writing = receiver.connection.blocked
        if writing != receiver.writing:
            receiver.writing = writing
            self._poll.watch(receiver.connection.socket.fileno(), writing=writing)
