"""
An event stream: a client that listens to its room over plain HTTP, as Server-Sent Events.

A subscriber like any other: the same outbox, bound, policies and counters as a WebSocket client's, but it
cannot publish. One task writes and one reads, because the end of the connection is all that such a client
ever says.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import ClassVar

import trio

from trioecho import disconnect
from trioecho.access.identity import ANYONE, Identity
from trioecho.disconnect import NO_CLOSE_FRAME, Disconnect
from trioecho.protocol import gzip_stream
from trioecho.protocol.sse import KEEPALIVE, event_pieces, is_cheap
from trioecho.rooms.batch import Batch, as_events, as_gzip_events
from trioecho.rooms.notice import tell_by_event, tell_by_gzip_event
from trioecho.rooms.outbox import Outbox
from trioecho.sessions.session import CLOSE_TIMEOUT, Session
from trioecho.sessions.state import ServerState
from trioecho.transport.peer import Peer
from trioecho.transport.socket_stream import PlainSocket
from trioecho.transport.tls_socket import TLSSocket

__all__ = ["EventStream", "head"]

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\n"
    b"Vary: Accept, Accept-Encoding\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"%sConnection: close\r\n\r\n"
)
"""The head of the response. The end of the connection is the end of the body, so that one encoding serves
clients of every version of HTTP. ``X-Accel-Buffering`` makes nginx pass events on as they come."""

CODED = b"Content-Encoding: gzip\r\n"

OPENING = b"retry: 2000\n: listening\n\n"
"""What a stream begins with: a browser should wait 2 s (with no jitter of its own) before it comes back."""

PIECE_BYTES = 64 * 1024
"""How much is written at once (bytes): each piece taken is a sign of life."""

RECEIVE_BYTES = 4 * 1024
"""How much is read at once, to be ignored (bytes)."""

CLIENT_CLOSED = Disconnect("client-closed", NO_CLOSE_FRAME, "the client closed the connection")


def head(*, gzip: bool) -> bytes:
    """Return the head of the response."""
    return HEAD % (CODED if gzip else b"")


class EventStream(Session):
    """
    The session of one listening client.

    With ``gzip`` it gets its events in a gzip stream, compressed once for all in the room who do. What is
    compressed in such a stream refers back by so many bytes, whatever they are. So what this client alone
    gets comes ahead of all that is shared, and what keeps the connection alive is no bytes of the text.
    """

    __slots__ = ("_gzip", "_moved_at", "_writing", "_writing_bytes")

    kind: ClassVar = "events"

    def __init__(
        self,
        state: ServerState,
        transport: trio.abc.Stream,
        peer: Peer,
        identity: Identity = ANYONE,
        *,
        gzip: bool = False,
    ) -> None:
        super().__init__(state, transport, peer, identity)
        self.outbox = Outbox(self, state.settings, state.hub.memory)
        self.outbox.tell = tell_by_gzip_event if gzip else tell_by_event
        self._gzip = gzip
        if gzip:
            self.outbox.encoding, self.outbox.context = as_gzip_events, 0
        # Of the batch that is being written: when the client last took a piece of it, its messages and bytes.
        self._moved_at = 0.0
        self._writing = self._writing_bytes = 0

    @property
    def sent(self) -> int:
        """Messages that are written in whole; the outbox counts those it has given away."""
        return self.outbox.sent - self._writing

    @property
    def unsent(self) -> int:
        """Messages that it was to get and that were not written in whole."""
        return self.outbox.unsent + self._writing

    @property
    def held_bytes(self) -> int:
        """What waits to be sent to it, with what is being written (bytes)."""
        if self._why is not None and not self._why.polite:
            return 0  # it is going already
        return self.outbox.pending_bytes + self._writing_bytes

    async def _answer(self) -> None:
        self._limit_silence()
        opening = gzip_stream.HEAD + gzip_stream.stored(OPENING) if self._gzip else OPENING
        await self._send_answer(head(gzip=self._gzip) + opening)
        self._state.keepalive.add(self)

    async def _serve(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch)
            await self._write_events()
            nursery.cancel_scope.cancel()

    def _limit_silence(self) -> None:
        """
        Let the kernel end the connection of a client that no longer acknowledges what it is sent.

        A reader of events answers no ping, so it is the network that has to answer the keepalive comments.
        """
        settings = self._state.settings
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
        if option is None or not settings.pings or not isinstance(self._transport, (PlainSocket, TLSSocket)):
            return
        if self._transport.socket.family in (socket.AF_INET, socket.AF_INET6):
            silence = settings.ping_interval + settings.ping_timeout
            self._transport.socket.setsockopt(socket.IPPROTO_TCP, option, round(silence * 1000))

    async def _watch(self) -> None:
        """Read, and ignore, until the client is gone."""
        try:
            while await self._transport.receive_some(RECEIVE_BYTES):
                pass
            self.disconnect(CLIENT_CLOSED)
        except trio.BrokenResourceError:
            self.disconnect(disconnect.LOST)

    async def _write_events(self) -> None:
        """Write what the room sends until the outbox is closed."""
        try:
            while True:
                try:
                    batch = await self.outbox.receive()
                except (trio.EndOfChannel, trio.ClosedResourceError):
                    return
                if batch is None:
                    await self._transport.send_all(gzip_stream.NOTHING if self._gzip else KEEPALIVE)
                    continue
                self._writing, self._moved_at = batch.count, trio.current_time()
                self._writing_bytes = batch.cost
                await self._write_batch(batch)
                self._writing = self._writing_bytes = 0
                del batch  # or it would stay until the next one comes
        except trio.BrokenResourceError:
            self.disconnect(disconnect.LOST)

    async def _write_batch(self, batch: Batch) -> None:
        """Write a batch, made once for all who listen, or if that is much work, for this one in turns."""
        frames = batch.frames
        if batch.is_final:
            await self._write_some(frames)
            return
        if is_cheap(frames, batch.count):
            await self._write_some(batch.encoded(as_gzip_events if self._gzip else as_events))
            return
        for piece in event_pieces(frames, *batch.event_place):
            await self._write_some(gzip_stream.stored(piece) if self._gzip else piece)
            await self._state.turns.take()

    async def _write_some(self, events: bytes) -> None:
        for at in range(0, len(events), PIECE_BYTES):
            await self._transport.send_all(memoryview(events)[at : at + PIECE_BYTES])
            self._moved_at = trio.current_time()

    async def _finish(self, why: Disconnect) -> None:
        """End the body, which the end of the connection does."""
        self._leave()
        # What one that was too slow has not taken would stay in the kernel, and ends in the middle anyway.
        self._reset = why in disconnect.TOO_SLOW
        if isinstance(self._transport, trio.SSLStream) and why.polite:
            with trio.move_on_after(CLOSE_TIMEOUT), suppress(trio.BrokenResourceError):
                await self._transport.aclose()  # with a close_notify, or it might have been cut off

    # What others ask of it.

    def ping(self) -> None:
        """Send a keepalive comment, if nothing else is on its way."""
        if not self._writing and not self.outbox.pending_bytes:
            self.outbox.wake()

    def alive_since(self, asked: float) -> bool:
        """Whether nothing waits for it to be taken, or it has taken something since then."""
        return not self._writing or self._moved_at >= asked

    def start_writer(self) -> None:
        """Do nothing: its own task takes the messages."""
