"""
An event stream: a client that listens to its room over plain HTTP, as Server-Sent Events.

A subscriber like any other: the same outbox, bound, policies and counters as a WebSocket client's, but it
cannot publish. One task writes and one reads, because the end of the connection is all that such a client
ever says.
"""

from __future__ import annotations

import logging
import socket
from typing import ClassVar

import trio

from trioecho import disconnect
from trioecho.disconnect import NO_CLOSE_FRAME, Disconnect
from trioecho.log import log_event
from trioecho.protocol.sse import KEEPALIVE
from trioecho.rooms.batch import as_events
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.room import Room
from trioecho.sessions.state import ServerState
from trioecho.transport.socket_stream import PlainSocket

__all__ = ["HEAD", "EventStream"]

HEAD = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Cache-Control: no-store\r\n"
    b"Vary: Accept\r\n"
    b"X-Accel-Buffering: no\r\n"
    b"Connection: close\r\n\r\n"
)
"""The head of the answer. The end of the connection is the end of the body, so that one encoding serves
clients of every version of HTTP. ``X-Accel-Buffering`` makes nginx pass events on as they come."""

OPENING = b"retry: 2000\n: listening\n\n"
"""What a stream begins with: a browser should wait 2 s (with no jitter of its own) before it comes back."""

PIECE_BYTES = 64 * 1024
"""How much is written at once (bytes): each piece taken is a sign of life."""

RECEIVE_BYTES = 4 * 1024
"""How much is read at once, to be ignored (bytes)."""

LEFT = Disconnect("client-closed", NO_CLOSE_FRAME, "the client closed the connection")


class EventStream:
    """One listening client. :meth:`run` serves it; the rest is what others ask of it, and never waits."""

    kind: ClassVar = "events"

    def __init__(self, state: ServerState, transport: trio.abc.Stream, address: str) -> None:
        self.address = address
        self.outbox = Outbox(self, state.hub.limits)
        self.messages_in = 0
        self._room: Room | None = None
        self._state = state
        self._transport = transport
        self._scope = trio.CancelScope()
        self._why: Disconnect | None = None
        # Of the batch that is being written: when the client last took a piece of it, and its messages.
        self._moved_at = 0.0
        self._writing = 0

    @property
    def sent(self) -> int:
        """Messages that are written in whole; the outbox counts those it has given away."""
        return self.outbox.sent - self._writing

    async def run(self, room: str) -> None:
        """
        Response, and pass on the messages of ``room`` until the client or the server ends it.

        Raises:
            TooManyRooms: the room would be one too many; nothing has been answered.

        """
        state, came = self._state, trio.current_time()
        self._room = state.hub.enter(room, self)
        state.connections.add(self)
        try:
            there = len(self._room.members)
            log_event(logging.INFO, "connected", address=self.address, room=room, kind=self.kind, there=there)
            state.hub.counters.connected += 1
            self._limit_silence()
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch)
                    await self._write()
                    nursery.cancel_scope.cancel()
        except Exception:
            self._why = disconnect.BUG
            raise
        except BaseException:
            self._why = disconnect.CUT if self._why is disconnect.SHUTDOWN else disconnect.CANCELLED
            raise
        finally:
            self._leave_room()
            state.connections.discard(self)
            self._report(self._room, came)

    def _limit_silence(self) -> None:
        """
        Let the kernel end the connection of a client that no longer acknowledges what it is sent.

        A reader of events answers no ping, so it is the network that has to answer the keepalive comments.
        """
        limits = self._state.hub.limits
        option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
        if option is None or not limits.pings or not isinstance(self._transport, PlainSocket):
            return
        if self._transport.socket.family in (socket.AF_INET, socket.AF_INET6):
            silence = limits.ping_interval + limits.ping_timeout
            self._transport.socket.setsockopt(socket.IPPROTO_TCP, option, round(silence * 1000))

    async def _watch(self) -> None:
        """Read, and ignore, until the client is gone."""
        try:
            while await self._transport.receive_some(RECEIVE_BYTES):
                pass
            self.disconnect(LEFT)
        except trio.BrokenResourceError:
            self.disconnect(disconnect.LOST)

    async def _write(self) -> None:
        """Write what the room sends until the outbox is closed."""
        try:
            await self._transport.send_all(HEAD + OPENING)
            self._state.keepalive.add(self)
            while True:
                try:
                    batch = await self.outbox.receive()
                except (trio.EndOfChannel, trio.ClosedResourceError):
                    return
                if batch is None:
                    await self._transport.send_all(KEEPALIVE)
                    continue
                self._writing, self._moved_at = batch.count, trio.current_time()
                events = memoryview(batch.encoded(as_events))
                for at in range(0, len(events), PIECE_BYTES):
                    await self._transport.send_all(events[at : at + PIECE_BYTES])
                    self._moved_at = trio.current_time()
                self._writing = 0
        except trio.BrokenResourceError:
            self.disconnect(disconnect.LOST)

    def _leave_room(self) -> None:
        assert self._room is not None
        self._state.keepalive.remove(self)
        self._state.hub.leave(self._room, self)
        self.outbox.close()

    def _report(self, room: Room, came: float) -> None:
        """Count and log the end of the client."""
        counters, outbox, why = self._state.hub.counters, self.outbox, self._why or disconnect.LOST
        unsent = outbox.unsent + self._writing
        counters.disconnected[why.name] += 1
        counters.messages_out += self.sent
        counters.messages_dropped += outbox.dropped
        counters.messages_unsent += unsent
        log_event(
            logging.INFO,
            "disconnected",
            address=self.address,
            room=room.name,
            kind=self.kind,
            why=why.name,
            reason=why.reason,
            stayed=trio.current_time() - came,
            sent=self.sent,
            dropped=outbox.dropped,
            unsent=unsent,
        )

    # What others ask of it.

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect it for this reason, unless it has one already; a polite one lets it have the rest."""
        if self._why is None:
            self._why = why
            if why.polite:
                self.outbox.close(drain=True)
            else:
                self._leave_room()
                self._scope.cancel()

    def ping(self) -> None:
        """Send a keepalive comment, if nothing else is on its way."""
        if not self._writing and not self.outbox.pending_bytes:
            self.outbox.wake()

    def alive_since(self, asked: float) -> bool:
        """Whether nothing waits for it to be taken, or it has taken something since then."""
        return not self._writing or self._moved_at >= asked

    def on_space(self) -> None:
        """Tell the room that there is room again."""
        assert self._room is not None
        self._room.on_space()

    def on_first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        assert self._room is not None
        log_event(
            logging.WARNING,
            "dropping",
            address=self.address,
            room=self._room.name,
            kind=self.kind,
            when_slow=self._state.hub.limits.when_slow,
            pending=self.outbox.pending_bytes,
        )

    def start_writer(self) -> None:
        """Do nothing: its own task takes the messages."""
