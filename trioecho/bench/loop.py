"""The loop over all sockets: read what is there, send what is due, take leave of who is gone."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from time import perf_counter_ns

from trioecho.bench.member import Gone, Member
from trioecho.bench.pace import NEVER, SECOND, Pace, Silence
from trioecho.bench.poll import best_poll
from trioecho.bench.stream import Stream
from trioecho.bench.track import Faults

__all__ = ["Loop"]

TICK = 0.05
"""The longest wait for a socket (seconds): deadlines and the display of progress come in between."""


class Loop:
    """
    The members of a run and the one place where they wait.

    ``opened`` is filled by the streams: those whose window may have become wider.
    """

    def __init__(self, faults: Faults, opened: list[Stream]) -> None:
        # Made before any connection, so that its descriptor is small enough for select() to wait for.
        self._poll = best_poll()
        self._by_number: dict[int, Member] = {}
        self._faults = faults
        self._opened = opened
        self._publishers: dict[Stream, Member] = {}
        self.members: set[Member] = set()
        """Those who are connected."""
        self.pace: Pace = Silence()
        self.closing = False
        """From then on a member that leaves is not a fault."""

    def add(self, member: Member, early: bytes) -> None:
        """Take in a connected member; ``early`` is what came together with the answer to its handshake."""
        self.members.add(member)
        if member.connection.stream:
            self._publishers[member.connection.stream] = member
        self._by_number[member.connection.socket.fileno()] = member
        self._poll.watch(member.connection.socket)
        try:
            member.begin(early)
        except Gone as gone:
            self.leave(member, str(gone))

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
                member = by_number.get(number)
                if member is None:  # gone since
                    continue
                try:
                    if bits != writable:
                        member.readable()
                    if bits & writable or member.connection.blocked:
                        self._attempt(member, member.connection.flush)
                except Gone as gone:
                    self.leave(member, str(gone))
                if opened:
                    self._send_opened()
                if pace.next_due < NEVER and pace.next_due <= perf_counter_ns():
                    self._send_due()
            self._send_due()
            if pause := pace.pause():
                time.sleep(pause)

    def start(self) -> None:
        """Give every stream its first turn."""
        self._opened.extend(self._publishers)
        self._send_opened()

    def speak(self, member: Member, opcode: int, payload: bytes) -> None:
        """Send a control frame to the server, or take leave if that cannot be."""
        self._attempt(member, lambda: member.connection.control(opcode, payload))

    def leave(self, member: Member, why: str) -> None:
        """A connection is over: nobody waits for it any longer, and what it did not get is lost."""
        connection = member.connection
        self.members.discard(member)
        self._poll.forget(connection.socket)
        del self._by_number[connection.socket.fileno()]
        connection.socket.close()
        if connection.stream:
            connection.stream.end(connection.whole_messages)
        member.finish()
        if not self.closing:
            self._faults.disconnected += 1
            self._faults.farewells[why] = self._faults.farewells.get(why, 0) + 1

    def close(self) -> None:
        """Hang up on everybody who is left."""
        for member in list(self.members):
            self.leave(member, "")
        self._poll.close()

    def _wait(self, now: int) -> list[tuple[int, int]]:
        due = self.pace.next_due
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
        member = self._publishers[stream]
        self._attempt(member, lambda: member.connection.publish(count, due))

    def _attempt(self, member: Member, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self.leave(member, error.strerror or str(error))
        else:
            self._watch(member)

    def _watch(self, member: Member) -> None:
        writing = member.connection.blocked
        if writing != member.writing:
            member.writing = writing
            self._poll.watch(member.connection.socket, writing=writing)
