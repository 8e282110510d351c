"""
A session: one client, from the answer to its handshake to the end of its connection.

One reader that always reads (trio-websocket's, through the wire), one place that closes (here), and one
error boundary: whatever goes wrong with a client ends this client, is named, counted and logged.

The reader is the client's only task. trio-websocket is given something that looks like a nursery and
starts the reader as ours, so that an idle client costs one task and no nursery; a writer runs beside it only
while there is a backlog, and ends at the latest when the connection is closed.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Awaitable, Callable
from typing import ClassVar, cast

import trio
import wsproto
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.handshake import H11Handshake

from trioecho import disconnect
from trioecho.disconnect import Disconnect
from trioecho.http.upgrade import Upgrade
from trioecho.log import log_event, logger
from trioecho.protocol import frames
from trioecho.protocol.decoder import Decoder
from trioecho.rooms.batch import Batch
from trioecho.rooms.direct_outbox import DirectOutbox
from trioecho.rooms.room import Room
from trioecho.sessions.state import ServerState
from trioecho.transport.wire import NOT_NOW, RECEIVE_BYTES, Wire

__all__ = ["Session"]

CLOSE_TIMEOUT = 2.0
"""How long a client may take to get our close frame and answer it (seconds); after that it is cut."""

DEBUG_LENGTH = 100
"""How much of a message the debug log shows (characters or bytes)."""

REASONS_OF_PROTOCOL = {1002: "protocol-error", 1007: "invalid-text"}
"""The close codes for which trio-websocket ends a connection without a close frame: we send it."""

NO_HANDSHAKE = H11Handshake(wsproto.ConnectionType.SERVER)
"""What every connection is given in the place of its handshake once that is over, because wsproto keeps it to
the end: h11's objects, a sixth of what an idle client takes. All that is still asked of it is whether it has
events, and a new one has none."""


class Session:
    """
    One client. :meth:`accept` makes it one; of the rest, what others ask of it never waits.

    Attributes:
        address: where it connected from.
        outbox: what waits to be sent to it.
        messages_in: messages that came from it.

    """

    __slots__ = (
        "_came",
        "_room",
        "_scope",
        "_state",
        "_transport",
        "_websocket",
        "_why",
        "_wire",
        "address",
        "messages_in",
        "outbox",
    )

    kind: ClassVar = "websocket"
    outbox: DirectOutbox
    _wire: Wire
    _room: Room

    def __init__(self, state: ServerState, transport: trio.abc.Stream, address: str) -> None:
        self.address = address
        self._state = state
        self._transport = transport
        self._websocket: WebSocketConnection | None = None
        self._why: Disconnect | None = None
        self._scope = trio.CancelScope()
        self.messages_in = 0
        self._came: float | None = None

    async def accept(self, upgrade: Upgrade) -> None:
        """
        Response the handshake. From then on the client's own task has the connection, and closes it.

        Raises:
            TooManyRooms: its room would be one too many; the connection is still the caller's.

        """
        limits, hub = self._state.hub.limits, self._state.hub
        decoder = Decoder(limits.max_message_size, limits.prefix.encode())
        decoder.waiting = upgrade.early
        self._wire = Wire(self._transport, decoder, self, upgrade.head)
        self.outbox = DirectOutbox(self, limits, self._wire)
        # In the room before the client hears that it is: it misses nothing that comes after.
        self._room = hub.enter(upgrade.room, self)
        self._state.connections.add(self)
        try:
            request = await wrap_server_stream(
                cast(trio.Nursery, _ReaderStart(self)), self._wire, max_message_size=limits.max_message_size
            )
            self._websocket = await request.accept()
        except ConnectionClosed:
            self.disconnect(disconnect.LOST)  # gone already
            return
        except Exception:
            self.disconnect(disconnect.BUG)
            raise
        protocol = getattr(self._websocket, "_wsproto", None)  # private: if it is gone, it costs memory only
        if isinstance(protocol, wsproto.WSConnection):
            protocol.handshake = NO_HANDSHAKE
        self._wire.open()
        self.outbox.open()
        self._state.keepalive.add(self)
        hub.counters.connected += 1
        self._came = trio.current_time()
        there = len(self._room.members)
        log_event(logging.INFO, "connected", address=self.address, room=self._room.name, there=there)

    async def run(self, read: Callable[[], Awaitable[None]]) -> None:
        """Run trio-websocket's reader, and what follows its end: the client's task."""
        try:
            with self._scope:
                await read()
            if self._why is None:
                self._why = self._reason_for_end()
            await self._close()
        except Exception:
            self._why = disconnect.BUG
            logger.exception("serving %s failed; this client is disconnected", self.address)
            # It may fail the same way again, and that is said already.
            with contextlib.suppress(Exception):
                await self._close()
        except BaseException:
            if self._why is None:
                self._why = disconnect.CANCELLED
            elif self._why is disconnect.SHUTDOWN:
                self._why = disconnect.CUT
            raise
        finally:
            self._leave_room()
            self._state.connections.discard(self)
            self._report()
            await trio.aclose_forcefully(self._transport)

    def _reason_for_end(self) -> Disconnect:
        """Say why trio-websocket ended the connection."""
        closed = self._websocket.closed if self._websocket is not None else None
        if closed is None:
            return disconnect.LOST
        if closed.code in REASONS_OF_PROTOCOL and not self._wire.close_sent:
            return Disconnect(REASONS_OF_PROTOCOL[closed.code], closed.code, closed.reason or "")
        if self._wire.decoder.closed:
            return disconnect.client_closed(closed.code, closed.reason)
        return disconnect.LOST

    # What the wire asks of it.

    async def publish(self, batch: list[bytes]) -> None:
        """Hand the messages of one read to the room."""
        count = len(batch)
        self.messages_in += count
        if logger.isEnabledFor(logging.DEBUG):
            for frame in batch:
                for message in frames.messages(frame):
                    start = message[:DEBUG_LENGTH]
                    log_event(
                        logging.DEBUG, "message", address=self.address, length=len(message), start=start
                    )
        joined = b"".join(batch) if count > 1 else batch[0]
        self._state.hub.counters.bytes_in += len(joined)
        await self._room.publish(Batch(self, joined, count))

    async def flush(self) -> None:
        """Before the connection ends, deliver what the client is owed: its own echo, above all."""
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._room.flush()
            await self.outbox.wait_caught_up()
        if self._wire.decoder.too_big:
            self.disconnect(disconnect.TOO_BIG)

    # The end.

    async def _close(self) -> None:
        """Deliver what is owed, if the reason is polite, then say goodbye, if there is a way to say it."""
        assert self._why is not None
        if self._why.polite:
            self.outbox.close(drain=True)
            await self.outbox.wait_caught_up()
        self._leave_room()
        answered = self._wire.decoder.closed and self._wire.close_sent
        if answered or self._why.code == disconnect.NO_CLOSE_FRAME:
            return
        # A server that shuts down has a deadline for them all, and slow ones may still have much to read.
        timeout = math.inf if self._why.polite else CLOSE_TIMEOUT
        with (
            trio.move_on_after(timeout),
            contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            self._wire.decoder.closing = True
            await self._wire.send_all(frames.close(self._why.code, self._why.reason))
            await self._hear_goodbye()

    async def _hear_goodbye(self) -> None:
        """Wait for the client's close frame, or its end: closing at once could destroy ours on its way."""
        decoder = self._wire.decoder
        out_of_step = decoder.passthrough or decoder.closed
        if out_of_step and isinstance(self._transport, trio.abc.HalfCloseableStream):
            await self._transport.send_eof()  # its frames can't be told apart any more; its end can
        decoder.feed(decoder.waiting)
        while out_of_step or not decoder.closed:
            data = await self._transport.receive_some(RECEIVE_BYTES)
            if not data:
                break
            decoder.feed(data)

    def _leave_room(self) -> None:
        self._state.keepalive.remove(self)
        self._state.hub.leave(self._room, self)
        self.outbox.close()

    def _report(self) -> None:
        """Count and log the end of the client."""
        counters, outbox, why = self._state.hub.counters, self.outbox, self._why
        assert why is not None
        if self._came is None:
            counters.refused["vanished"] += 1
            log_event(logging.DEBUG, "vanished", address=self.address)
            return
        counters.disconnected[why.name] += 1
        counters.messages_in += self.messages_in
        counters.messages_out += outbox.sent
        counters.messages_dropped += outbox.dropped
        counters.messages_unsent += outbox.unsent
        log_event(
            logging.INFO,
            "disconnected",
            address=self.address,
            room=self._room.name,
            why=why.name,
            code=why.code,
            reason=why.reason,
            stayed=trio.current_time() - self._came,
            received=self.messages_in,
            sent=outbox.sent,
            dropped=outbox.dropped,
            unsent=outbox.unsent,
        )

    # What others ask of it.

    @property
    def sent(self) -> int:
        """Messages handed to the network for it."""
        return self.outbox.sent

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect the client for this reason, unless it has one already."""
        if self._why is None:
            self._why = why
            if not why.polite:
                self._leave_room()
            self._scope.cancel()

    def ping(self) -> None:
        """Send a keepalive ping; not behind a backlog, where it would prove nothing."""
        if self.outbox.pending_bytes == 0:
            left = self._wire.write_now(frames.PING)
            if left:
                unwritten = [frames.PING] if left == NOT_NOW else []
                self._state.nursery.start_soon(self._write, self._wire.write, unwritten)

    def alive_since(self, asked: float) -> bool:
        """Whether the client has sent or taken a byte since then, or is kept from it by its own room."""
        wire = self._wire
        return wire.publishing or wire.heard_at >= asked or wire.moved_at >= asked

    def start_writer(self) -> None:
        """Start the task that writes the backlog."""
        self._state.nursery.start_soon(self._write, self.outbox.drain)

    def on_space(self) -> None:
        """Tell the room that there is room again."""
        self._room.on_space()

    def on_first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        log_event(
            logging.WARNING,
            "dropping",
            address=self.address,
            room=self._room.name,
            when_slow=self._state.hub.limits.when_slow,
            pending=self.outbox.pending_bytes,
        )

    async def _write(self, write: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run a writer; if the connection takes no more, the client is gone."""
        try:
            await write(*arguments)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.outbox.close()
            self.disconnect(disconnect.LOST)
        except Exception:
            logger.exception("writing to %s failed; this client is disconnected", self.address)
            self.outbox.close()
            self.disconnect(disconnect.BUG)


class _ReaderStart:
    """What trio-websocket takes for a nursery: it starts one task in it, its reader."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        """Run the reader as the client's task."""
        session = self._session
        session._state.nursery.start_soon(session.run, reader, name=f"trioecho client {session.address}")
