"""
The wire: the trio Stream that stands between one trio-websocket connection and its network stream.

Outbound it keeps frames whole. Its own writers and trio-websocket's control frames take turns under one
lock; when the kernel takes only part of a frame, the rest goes out before anything else; after a close
frame nothing more is sent (RFC 6455, 5.5.1), whoever asks.

Inbound it is the express decoder's seat: only what that leaves over reaches trio-websocket.

:meth:`Wire.write_now` writes without a task, because a ``send_all`` costs a trip through trio's scheduler
(some 10 microseconds) even when the kernel takes all of it, and a fan-out makes one such write a client.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import trio

from trioecho.protocol.decoder import Decoder
from trioecho.protocol.frames import CLOSE
from trioecho.transport.socket_stream import PlainSocket
from trioecho.transport.tls_socket import TLSSocket

__all__ = ["NOT_NOW", "Wire"]

RECEIVE_BYTES = 64 * 1024
"""One read from the network (bytes): under load some hundreds of small messages at one system call."""

MUCH_BYTES = 32 * 1024
"""Who brings so much in one read, a third of a millisecond of work, has it decoded in turn (bytes)."""

JOINED_BYTES = 64 * 1024
"""How much is joined for a stream that cannot write several buffers at once (bytes; TLS): four records."""

KEPT_WAITING = 0.01
"""A write that took longer waited for the client, a sign of its life (seconds; TLS). A shorter one went into
a buffer of the system, which takes bytes for the dead too."""

NOT_NOW = -1
"""What :meth:`Wire.write_now` returns when it wrote nothing."""

Buffer = bytes | bytearray | memoryview


class Owner(Protocol):
    """What a wire needs of the session it belongs to."""

    def publish(self, frames: list[bytes]) -> Awaitable[None]:
        """Take the messages of one read; while it waits, nothing more is read: TCP backpressure."""

    def take_turn(self) -> Awaitable[None]:
        """Wait until it is this client's turn to have more of its bytes decoded, or its end seen to."""

    def flush(self) -> Awaitable[None]:
        """
        Deliver what the client is owed.

        Asked for once: before a close frame or something wrong goes on to trio-websocket, which then ends
        the connection at once, or after a message that is too large.
        """


class Wire(trio.abc.Stream):
    """
    The stream under one connection, from the answer to its handshake on.

    Attributes:
        send_nowait: the way into the kernel while whole frames may be written without waiting, or ``None``.
            The fan-out writes through it, and hands what the kernel did not take to :meth:`keep_rest`.
        heard_at: when the client's last bytes came (trio time).
        moved_at: when the client last took bytes that it had kept waiting (trio time).
        publishing: whether the room is keeping the client's messages waiting.
        close_sent: whether a close frame has been handed to the network.

    """

    __slots__ = (
        "_broken",
        "_finished",
        "_flushed",
        "_lock",
        "_owner",
        "_residue",
        "_socket",
        "close_sent",
        "decoder",
        "heard_at",
        "moved_at",
        "publishing",
        "send_nowait",
        "transport",
    )

    def __init__(self, transport: trio.abc.Stream, decoder: Decoder, owner: Owner) -> None:
        self.transport = transport
        self.decoder = decoder
        self.heard_at = self.moved_at = decoder.now = trio.current_time()
        self.publishing = self.close_sent = False
        self.send_nowait: Callable[[Buffer], int] | None = None
        self._owner = owner
        self._flushed = self._finished = False
        # Made when two writers may meet for the first time: most clients never have one that waits.
        self._lock: trio.Lock | None = None
        self._residue: memoryview | None = None
        self._broken = False
        # Only our own sockets can be used without waiting.
        self._socket = transport if isinstance(transport, (PlainSocket, TLSSocket)) else None

    @property
    def direct(self) -> bool:
        """Whether :meth:`write_now` can ever write; if not, everything needs a task."""
        return self._socket is not None

    def open(self) -> None:
        """Let frames be written without waiting: the handshake has been answered."""
        self._resume_send_nowait()

    def write_now(self, data: Buffer) -> int:
        """
        Write whole frames without waiting, and return how many bytes are left over.

        0: the kernel took them all. More: it took part, and :meth:`write` sends the rest before anything
        else. ``NOT_NOW``: nothing was written, and :meth:`write` is the way.
        """
        if self.send_nowait is None:
            return NOT_NOW
        try:
            written = self.send_nowait(data)
        except OSError:  # no room, or broken: write() finds out which
            return NOT_NOW
        left = len(data) - written
        if left:
            self.keep_rest(data, written)
        return left

    def keep_rest(self, data: Buffer, written: int) -> None:
        """Remember what the kernel did not take of ``data``: :meth:`write` sends it before anything else."""
        self._residue = memoryview(data)[written:]
        self.send_nowait = None

    async def write(self, batches: Sequence[Buffer]) -> None:
        """
        Write whole frames, after those that wait already.

        Raises:
            trio.BrokenResourceError: the connection is gone.
            trio.ClosedResourceError: a close frame has been sent, so nothing may follow.

        If cancelled, what was begun is remembered on sockets of ours and finished by the next write; on
        other streams (trio's TLS) a frame may be left half-written, and only closing is right after that.

        """
        async with self._writing():
            if self.close_sent:
                raise trio.ClosedResourceError("a close frame has been sent")
            await self._send(batches)

    async def send_all(self, data: Buffer) -> None:
        """Send one frame of trio-websocket's or a close frame of ours; dropped after a close frame."""
        # No checkpoint unless it waits: trio-websocket's own lock was one.
        left = self.send_control(data)
        if left:
            await self.finish_control(data, left)

    def send_control(self, data: Buffer) -> int:
        """Do as :meth:`send_all` as far as it goes without waiting; return what is left, as ``write_now``."""
        if self.close_sent:
            return 0
        closing = self.close_sent = data[0] == CLOSE
        left = self.write_now(data)
        if closing:
            self.send_nowait = None
        return left

    async def finish_control(self, data: Buffer, left: int) -> None:
        """Send what :meth:`send_control` has left of ``data``; raises as :meth:`write` does."""
        async with self._writing():
            await self._send((data,) if left == NOT_NOW else ())

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[None]:
        """Be the one writer; meanwhile nobody may write without waiting."""
        if self._lock is None:
            self._lock = trio.Lock()
        try:
            self._lock.acquire_nowait()  # without the trip through the scheduler that acquire() always makes
        except trio.WouldBlock:
            await self._lock.acquire()
        self.send_nowait = None
        try:
            yield
        finally:
            self._resume_send_nowait()
            self._lock.release()

    async def _send(self, parts: Sequence[Buffer]) -> None:
        if self._broken:
            raise trio.BrokenResourceError("a write was cancelled half-way")
        if self._socket is None:
            at = 0
            while at < len(parts):
                joined, at = bytes(parts[at]), at + 1
                while at < len(parts) and len(joined) + len(parts[at]) <= JOINED_BYTES:
                    joined, at = joined + parts[at], at + 1
                self._broken = True  # until it is written in whole
                began = trio.current_time()
                await self.transport.send_all(joined)
                self._broken = False
                now = trio.current_time()
                if now - began > KEPT_WAITING:
                    self.moved_at = now
            return
        sealed = isinstance(self._socket, TLSSocket)
        waiting = [*parts] if self._residue is None else [self._residue, *parts]
        begun = self._residue is not None
        while True:
            try:
                if isinstance(self._socket, TLSSocket):
                    written, begun = self._socket.send_parts(waiting), True
                else:
                    written = os.writev(self._socket.socket.fileno(), waiting)
            except BlockingIOError:
                written = 0
            except OSError as error:
                raise trio.BrokenResourceError(f"the connection is gone: {error}") from error
            while waiting and written >= len(waiting[0]):
                written -= len(waiting.pop(0))
                # The record that TLS began may reach one byte into what comes next.
                begun = sealed
            if written:
                waiting[0] = memoryview(waiting[0])[written:]
                begun = True
            # What was begun must be finished, even if this task is cancelled while it waits.
            self._residue = memoryview(waiting[0]) if begun and waiting else None
            if not waiting:
                return
            await self._socket.wait_send_all_might_not_block()
            self.moved_at = trio.current_time()

    def _resume_send_nowait(self) -> None:
        """Let frames be written without waiting, if nothing stands in the way."""
        if self._socket is not None and self._residue is None and not self.close_sent:
            self.send_nowait = self._socket.send

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the network may take more; here for trio's Stream interface."""
        await self.transport.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """
        Give trio-websocket what is left for it; ``b""`` at the end of the connection.

        Raises:
            trio.BrokenResourceError: the connection is gone.
            trio.ClosedResourceError: trio-websocket has closed it or sent a close frame, and reads no more.

        """
        while True:
            if self.decoder.waiting or self.decoder.busy:
                await self._owner.take_turn()
            if self._finished or self.close_sent:
                raise trio.ClosedResourceError("trio-websocket has ended the connection")
            data = self.decoder.waiting
            self.decoder.waiting = b""
            if not data and not self.decoder.inflating:
                try:
                    data = bytes(await self.transport.receive_some(RECEIVE_BYTES))
                except trio.BrokenResourceError:
                    await self._owner.take_turn()
                    raise
                if not data:
                    await self._owner.take_turn()
                    return b""
                self.heard_at = self.decoder.now = trio.current_time()
                if len(data) >= MUCH_BYTES:
                    self.decoder.put_off(data)
                    continue
            frames, rest = self.decoder.feed(data)
            if frames:
                self.publishing = True
                await self._owner.publish(frames)
                self.publishing, frames = False, []  # of which nothing is kept while no more comes
            if (self.decoder.closed or self.decoder.passthrough) and not self._flushed:
                self._flushed = True
                await self._owner.flush()
            if rest:
                return rest

    def release(self) -> None:
        """Let go of the owner and of what the decoder holds: the connection has ended."""
        del self._owner, self.decoder

    async def aclose(self) -> None:
        """End trio-websocket's reading, no more: the session is the one place that closes."""
        self._finished = True
