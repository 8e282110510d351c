"""
A session: one client from its handshake to the end of its connection.

One reader that always reads (trio-websocket's, through the wire), one place that closes (here), and one
error boundary: whatever goes wrong with a client ends this client, is named, counted and logged.

Floor 5: imports ``hub`` and below.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from trioecho import disconnect, frames, handshake
from trioecho.batch import Batch
from trioecho.disconnect import Disconnect
from trioecho.handshake import Handshake, Refusal, Upgrade
from trioecho.hub import Hub, TooManyRooms
from trioecho.keepalive import Keepalive
from trioecho.lane import Lane
from trioecho.log import logger, note
from trioecho.outbox import Outbox
from trioecho.room import Room
from trioecho.wire import NOT_NOW, RECEIVE_BYTES, Wire

__all__ = ["Session"]

CLOSE_TIMEOUT = 2.0
"""How long a client may take to get our close frame and answer it (seconds); after that it is cut."""

REFUSAL_TIMEOUT = 1.0
"""How long a connection is kept after a refusal, so that the answer arrives (seconds)."""

DEBUG_LENGTH = 100
"""How much of a message the debug log shows (characters or bytes)."""

REASONS_OF_PROTOCOL = {1002: "protocol-error", 1007: "invalid-text"}
"""The close codes for which trio-websocket ends a connection without a close frame: we send it."""


class Session:
    """
    One client. :meth:`run` is its task; the rest is what others ask of it, and none of that waits.

    Attributes:
        outbox: what waits to be sent to it.

    """

    outbox: Outbox

    def __init__(self, hub: Hub, keepalive: Keepalive, transport: trio.abc.Stream, address: str) -> None:
        self.address = address
        self._hub = hub
        self._limits = hub.limits
        self._keepalive = keepalive
        self._transport = transport
        self._why: Disconnect | None = None
        self._scope = trio.CancelScope()
        self._wire: Wire | None = None
        self._room: Room | None = None
        self._nursery: trio.Nursery | None = None
        self._messages_in = 0
        self._came = 0.0

    async def run(self, refusal: Refusal | None = None) -> None:
        """
        Serve the client until it is gone, or turn it away with ``refusal``.

        Raises nothing but what ends the server (``Cancelled``).

        If cancelled, the connection is cut at once.
        """
        try:
            upgrade = refusal or await self._shake_hands()
            if isinstance(upgrade, Refusal):
                await self._refuse(upgrade)
            elif upgrade is not None:
                await self._serve(upgrade)
        except Exception:
            self._why = disconnect.BUG
            logger.exception("serving %s failed; this client is disconnected", self.address)
            # It may fail the same way again, and that is said already.
            with trio.move_on_after(CLOSE_TIMEOUT), contextlib.suppress(Exception):
                await self._say_goodbye(disconnect.BUG)
                await self._hear_goodbye()
        except BaseException:
            self._why = disconnect.CUT if self._why is disconnect.SHUTDOWN else disconnect.CANCELLED
            raise
        finally:
            self._leave()
            await trio.aclose_forcefully(self._transport)

    # Before it is a client.

    async def _shake_hands(self) -> Upgrade | Refusal | None:
        """Read the request head; None if the connection is gone, which is no client's affair."""
        head = Handshake()
        with trio.move_on_after(self._limits.handshake_timeout) as self._scope:
            while True:
                try:
                    data = await self._transport.receive_some(RECEIVE_BYTES)
                except trio.BrokenResourceError:
                    data = b""
                if not data:
                    self._hub.counters.refused["vanished"] += 1
                    note(logging.DEBUG, "vanished", address=self.address)
                    return None
                answer = head.feed(data)
                if answer is not None:
                    return answer
        return handshake.TOO_LATE if self._why is None else handshake.SHUTTING_DOWN

    async def _refuse(self, refusal: Refusal) -> None:
        """Answer no, and wait a moment for the client to take it: closing at once could destroy it."""
        self._hub.counters.refused[str(refusal.status)] += 1
        note(logging.INFO, "refused", address=self.address, status=refusal.status, why=refusal.sentence)
        with trio.move_on_after(REFUSAL_TIMEOUT):
            try:
                await self._transport.send_all(refusal.response)
                if isinstance(self._transport, trio.abc.HalfCloseableStream):
                    await self._transport.send_eof()
                while await self._transport.receive_some(RECEIVE_BYTES):
                    pass
            except trio.BrokenResourceError:
                pass

    # The client.

    async def _serve(self, upgrade: Upgrade) -> None:
        lane = Lane(self._limits.max_message_size, self._limits.prefix.encode())
        lane.waiting = upgrade.early
        self._wire = wire = Wire(
            self._transport, lane, publish=self._publish, settle=self._settle, head=upgrade.head
        )
        self.outbox = Outbox(self, self._limits, wire)
        try:
            # In the room before the client hears that it is: it misses nothing that comes after.
            self._room = self._hub.enter(upgrade.room, self)
        except TooManyRooms:
            await self._refuse(handshake.TOO_MANY_ROOMS)
            return
        self._came = trio.current_time()
        try:
            async with trio.open_nursery() as self._nursery:
                request = await wrap_server_stream(
                    self._nursery, wire, max_message_size=self._limits.max_message_size
                )
                websocket = await request.accept()
                wire.open()
                self.outbox.open()
                self._keepalive.add(self)
                self._hub.counters.came += 1
                note(
                    logging.INFO,
                    "came",
                    address=self.address,
                    room=self._room.name,
                    there=len(self._room.members),
                )
                await self._receive(websocket)
                await self._close()
                self._nursery.cancel_scope.cancel()
        except* LocalProtocolError:
            # trio-websocket tried to answer something that came after a close frame of its own (two
            # messages that are too large in one read, say). The client is to blame and already told.
            self._why = self._why or self._judge(websocket)
        except* ConnectionClosed:
            self._why = disconnect.LOST  # gone while its handshake was answered
        self._leave_room()
        await self._hear_goodbye()

    async def _receive(self, websocket: WebSocketConnection) -> None:
        """Wait for trio-websocket to find that the connection is to end, or for :meth:`end`."""
        if self._why is not None:
            return
        with trio.CancelScope() as self._scope:
            try:
                # The express lane takes every message it may take. What still comes out here was too
                # large for it, and not for trio-websocket, which counts characters.
                await websocket.get_message()
                self._why = disconnect.TOO_BIG
            except ConnectionClosed:
                self._why = self._judge(websocket)

    def _judge(self, websocket: WebSocketConnection) -> Disconnect:
        """Say why trio-websocket ended the connection."""
        assert self._wire is not None
        closed = websocket.closed
        if closed is None:
            return disconnect.LOST
        if closed.code == disconnect.TOO_BIG.code and not self._wire.lane.closed:
            return disconnect.TOO_BIG
        if closed.code in REASONS_OF_PROTOCOL and not self._wire.close_sent:
            return Disconnect(REASONS_OF_PROTOCOL[closed.code], closed.code, closed.reason or "")
        if self._wire.lane.closed:
            return disconnect.left(closed.code, closed.reason)
        return disconnect.LOST

    async def _publish(self, batch: list[bytes]) -> None:
        """Hand the messages of one read to the room."""
        assert self._room is not None
        count = len(batch)
        self._messages_in += count
        if logger.isEnabledFor(logging.DEBUG):
            for frame in batch:
                for message in frames.messages(frame):
                    start = message[:DEBUG_LENGTH]
                    note(logging.DEBUG, "message", address=self.address, length=len(message), start=start)
        await self._room.publish(Batch(self, b"".join(batch) if count > 1 else batch[0], count))

    async def _settle(self) -> None:
        """Before the connection ends, deliver what the client is owed: its own echo, above all."""
        assert self._room is not None
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._room.settle()
            await self.outbox.wait_caught_up()

    # The end.

    async def _close(self) -> None:
        """Deliver what is owed, if the reason is polite, and send the close frame, if it has one."""
        assert self._why is not None
        if self._why.polite:
            self.outbox.finish()
            await self.outbox.wait_caught_up()
        self._leave_room()
        with trio.move_on_after(CLOSE_TIMEOUT):
            await self._say_goodbye(self._why)

    async def _say_goodbye(self, why: Disconnect) -> None:
        """Send our close frame, after what is half-written, if none has been sent."""
        if self._wire is None or why.code == disconnect.NO_CLOSE_FRAME:
            return
        self._wire.lane.closing = True
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._wire.send_all(frames.close(why.code, why.reason))

    async def _hear_goodbye(self) -> None:
        """Wait for the client's close frame, if ours is out: closing at once could destroy ours."""
        wire = self._wire
        if wire is None or not wire.close_sent:
            return
        with trio.move_on_after(CLOSE_TIMEOUT), contextlib.suppress(trio.BrokenResourceError):
            if wire.lane.aside and isinstance(self._transport, trio.abc.HalfCloseableStream):
                await self._transport.send_eof()  # its frames can't be told apart any more; its end can
            wire.lane.feed(wire.lane.waiting)
            while not wire.lane.closed:
                data = await self._transport.receive_some(RECEIVE_BYTES)
                if not data:
                    break
                wire.lane.feed(data)

    def _leave_room(self) -> None:
        self._keepalive.remove(self)
        if self._room is not None:
            self._hub.leave(self._room, self)
            self.outbox.close()

    def _leave(self) -> None:
        """Count and log the end of a client; of one that never was, nothing."""
        if self._room is None:
            return
        assert self._why is not None
        self._leave_room()
        outbox, counters = self.outbox, self._hub.counters
        counters.left[self._why.name] += 1
        counters.messages_in += self._messages_in
        counters.messages_out += outbox.sent
        counters.messages_dropped += outbox.dropped
        counters.messages_unsent += outbox.unsent
        note(
            logging.INFO,
            "left",
            address=self.address,
            room=self._room.name,
            why=self._why.name,
            code=self._why.code,
            reason=self._why.reason,
            stayed=trio.current_time() - self._came,
            received=self._messages_in,
            sent=outbox.sent,
            dropped=outbox.dropped,
            unsent=outbox.unsent,
        )

    # What others ask of it.

    def end(self, why: Disconnect) -> None:
        """Disconnect the client for this reason, unless it has one already."""
        if self._why is None:
            self._why = why
            if not why.polite:
                self._leave_room()
            self._scope.cancel()

    def ping(self) -> None:
        """Send a keepalive ping; not behind a backlog, where it would prove nothing."""
        if self._wire is not None and self.outbox.pending_bytes == 0 and self._nursery is not None:
            left = self._wire.write_now(frames.PING)
            if left:
                unwritten = [frames.PING] if left == NOT_NOW else []
                self._nursery.start_soon(self._write, self._wire.write, unwritten)

    def alive_since(self, asked: float) -> bool:
        """Whether the client has sent or taken a byte since then, or is kept from it by its own room."""
        wire = self._wire
        return wire is None or wire.publishing or wire.heard_at >= asked or wire.moved_at >= asked

    def start_writer(self) -> None:
        """Start the task that writes the backlog."""
        assert self._nursery is not None
        self._nursery.start_soon(self._write, self.outbox.drain)

    def freed(self) -> None:
        """Tell the room that there is room again."""
        if self._room is not None:
            self._room.freed()

    def first_drop(self) -> None:
        """Log that messages begin to be dropped."""
        assert self._room is not None
        note(
            logging.WARNING,
            "dropping",
            address=self.address,
            room=self._room.name,
            when_slow=self._limits.when_slow,
            pending=self.outbox.pending_bytes,
        )

    async def _write(self, write: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run a writer; if the connection takes no more, the client is gone."""
        try:
            await write(*arguments)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.outbox.close()
            self.end(disconnect.LOST)
