"""
The outbox in front of a wire: straight into the kernel while the client keeps up, by a writer while not.

For a client that keeps up a fan-out makes one system call and nothing else: no queue, no task, no trip
through the scheduler. That call is made in :func:`~trioecho.rooms.fan_out.offer_to_all`, the only place that
writes to a wire without waiting. When the kernel does not take all of a batch, the outbox falls behind: the
rest goes to the wire, which sends it before anything else, further batches are queued, and the owner starts a
task that runs :meth:`DirectOutbox.drain`. When nothing is left the task ends, and the outbox is direct again.

What is being written is held as buffers, not as batches. A batch can be half written already; and the pieces
of an excerpt go to the kernel as they are, so that a crowd of clients that stopped reading in the middle of a
large write holds the bytes once.

Over a wire that can never be written to without waiting (TLS) it is always behind, and its writer stays.
"""

from __future__ import annotations

import trio

from trioecho.memory import Memory
from trioecho.rooms.batch import Batch, Buffer, Encoding
from trioecho.rooms.outbox import Outbox, State
from trioecho.rooms.owner import Owner
from trioecho.settings import Settings
from trioecho.transport.wire import Wire

__all__ = ["DirectOutbox"]

WRITE_BYTES = 256 * 1024
"""The writer takes at most this much of a backlog at once (bytes): what it took, it can't drop any more."""

WRITE_BATCHES = 64
"""And at most so many batches."""

WRITE_BUFFERS = 512
"""And no further batch once it has so many buffers. The last one may bring 257 more (a room joins at most 256
batches), and one ``writev`` takes 1,024 on Linux and macOS."""


class DirectOutbox(Outbox):
    """
    The outbox of ``owner``, in front of ``wire``.

    Until :meth:`open` batches are queued without a writer: the handshake is still being answered.
    """

    __slots__ = ("_batches", "_writing", "_writing_cost", "_writing_count", "wire")

    def __init__(
        self,
        owner: Owner,
        settings: Settings,
        wire: Wire,
        memory: Memory | None = None,
        *,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__(owner, settings, memory)
        self.encoding = encoding
        self.wire: Wire | None = wire
        # What the writer has taken: what it is to write, and the messages and pending bytes that these are.
        self._writing: list[Buffer] = []
        self._batches: list[Batch] | None = None  # of which they are, so that they count as held
        self._writing_count = self._writing_cost = 0

    def open(self) -> None:
        """Let batches through to the wire, first those that came while the handshake was answered."""
        if self._queue is not None:
            self._start_writer()
        elif self.state is State.QUEUEING:
            self.state = State.DIRECT

    def fall_behind(self) -> None:
        """Queue what comes from now on, and start a writer."""
        self.state = State.QUEUEING
        self._start_writer()

    def _start_writer(self) -> None:
        if self._owner is not None:
            self._owner.start_writer()

    def lose(self, count: int) -> None:
        """Take notice that so many messages can't be sent: the peer is gone, which its reader is told too."""
        self._discarded += count

    def half_written(self, batch: Batch, written: int) -> None:
        """Fall behind with a batch of which the kernel took so many bytes."""
        self.fall_behind()
        assert self.wire is not None
        buffers = batch.buffers(self.encoding)
        left = sum(map(len, buffers)) - written
        for number, buffer in enumerate(buffers):
            if written < len(buffer):
                self.wire.keep_rest(buffer, written)
                self._writing = [*buffers[number + 1 :]]
                break
            written -= len(buffer)
        self._writing_count = batch.count
        self._writing_cost = self.pending_bytes = left
        if self._memory is not None:
            batch.hold(self._memory)
            self._batches = [batch]

    async def drain(self) -> None:
        """
        Write the backlog until there is none: the writer task.

        Over a wire that cannot be written to without a task (TLS), it stays for what comes next, until the
        outbox is closed: starting one for each batch would cost as much as the writing.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: the connection takes no more.

        If cancelled, what was being written counts as unsent; the wire keeps frames whole.

        """
        wire = self.wire
        if wire is None:
            await trio.lowlevel.checkpoint()
            return
        while True:
            size = batches = 0
            waits = self._queue is not None and self._gap is None and self.past is None
            if waits and not self._writing_cost and not wire.direct:
                assert self._queue is not None
                try:
                    first = await self._queue[1].receive()
                except trio.EndOfChannel:
                    break
                if first is not None:
                    self._write_next(first)
                del first  # nothing is kept here while nothing comes
            while size < WRITE_BYTES and batches < WRITE_BATCHES and len(self._writing) < WRITE_BUFFERS:
                batch = self._take_next()
                if batch is None:
                    break
                self._write_next(batch)
                size += batch.cost
                batches += 1
            batch = None
            if not self._writing_cost:
                break
            await wire.write(self._writing)
            self._writing, self._batches = [], None
            count, cost = self._writing_count, self._writing_cost
            self._writing_count = self._writing_cost = 0
            self._taken(count, cost)
        self._queue = None
        if self.state is State.QUEUEING:
            self.state = State.DIRECT

    def _write_next(self, batch: Batch) -> None:
        self._writing += batch.buffers(self.encoding)
        if self._batches is None:
            self._batches = []
        self._batches.append(batch)
        self._writing_count += batch.count
        self._writing_cost += batch.cost

    def close(self, *, drain: bool = False) -> None:
        """Take no more, as every outbox; the wire is let go unless there is something left to drain to it."""
        super().close(drain=drain)
        if self.state is State.CLOSED:
            self.wire = None
            self._writing = []  # a new one: a writer that is busy has the other still
            self._batches = None

    @property
    def unsent(self) -> int:
        """Messages left over: queued when it was closed, one too many for it, or not written in whole."""
        return self._discarded + self._writing_count
