"""
A WebSocket session: one client that sends and gets messages.

One reader that always reads (trio-websocket's, through the wire) and one place that closes (here). The reader
is the client's only task, so that an idle client costs one task and no nursery; a writer runs beside it only
while there is a backlog, and ends at the latest when the connection is closed.
"""

from __future__ import annotations

import contextlib
import logging
import math
from typing import ClassVar

import trio

from trioecho import disconnect
from trioecho.access.identity import ANYONE, Identity
from trioecho.disconnect import Disconnect
from trioecho.http.upgrade import Upgrade
from trioecho.log import log_event, logger
from trioecho.protocol import frames
from trioecho.protocol.decoder import Decoder
from trioecho.protocol.head import SUBPROTOCOL
from trioecho.rooms.batch import Batch
from trioecho.rooms.direct_outbox import DirectOutbox
from trioecho.rooms.headed import as_headed, tell_by_head
from trioecho.rooms.notice import tells_text
from trioecho.sessions.handshake import switching_protocols
from trioecho.sessions.session import CLOSE_TIMEOUT, Session
from trioecho.sessions.state import ServerState
from trioecho.sessions.trio_websocket_connection import TrioWebSocketConnection
from trioecho.transport.closing import linger
from trioecho.transport.peer import Peer
from trioecho.transport.wire import NOT_NOW, RECEIVE_BYTES, Wire

__all__ = ["WebSocketSession"]

DEBUG_LENGTH = 100
"""How much of a message the debug log shows (characters or bytes)."""

PROTOCOL_REASONS = {1002: "protocol-error", 1007: "invalid-text"}
"""The close codes for which trio-websocket ends a connection without a close frame: we send it."""


class WebSocketSession(Session):
    """The session of the client that sent ``upgrade``."""

    __slots__ = ("_compression", "_upgrade", "_websocket", "_wire")

    kind: ClassVar = "websocket"
    outbox: DirectOutbox

    def __init__(
        self,
        state: ServerState,
        transport: trio.abc.Stream,
        peer: Peer,
        upgrade: Upgrade,
        identity: Identity = ANYONE,
    ) -> None:
        super().__init__(state, transport, peer, identity)
        settings = state.settings
        compression = state.compressing.agree(upgrade.request)
        decoder = Decoder(settings.max_message_size, state.hub.memory, compressed=compression is not None)
        decoder.waiting = upgrade.early
        self._wire = Wire(transport, decoder, self)
        self._websocket = TrioWebSocketConnection(self._wire, settings.max_message_size)
        headed = upgrade.subprotocol == SUBPROTOCOL
        encoding = as_headed if headed else None
        self.outbox = DirectOutbox(self, settings, self._wire, state.hub.memory, encoding=encoding)
        if headed:
            self.outbox.tell = tell_by_head
        elif settings.tell_missed is not None:
            self.outbox.tell = tells_text(settings.tell_missed)
        if compression is not None and compression.shared:
            self.outbox.context = 0
        # An idle client need not keep its request: they are let go with the answer.
        self._upgrade: Upgrade | None = upgrade
        self._compression = compression

    async def _answer(self) -> None:
        assert self._upgrade is not None
        extension = None if self._compression is None else self._compression.answer
        answer = switching_protocols(self._upgrade.key, self._upgrade.subprotocol, extension)
        self._upgrade = self._compression = None
        await self._send_answer(answer)
        self._wire.open()
        self.outbox.open()
        self._state.keepalive.add(self)

    async def _serve(self) -> None:
        await self._websocket.read()

    def _reason_for_end(self) -> Disconnect:
        closed = self._websocket.closed
        if closed is None:
            return super()._reason_for_end()
        if closed.code in PROTOCOL_REASONS and not self._wire.close_sent:
            return Disconnect(PROTOCOL_REASONS[closed.code], closed.code, closed.reason or "")
        if self._wire.decoder.closed:
            return disconnect.client_closed(closed.code, closed.reason)
        return disconnect.LOST

    # What the wire asks of it.

    async def publish(self, messages: list[bytes]) -> None:
        """Hand the messages of one read to the room."""
        count = len(messages)
        if self._state.draining:
            # The rooms take no more. It is still read, so that a client that writes before it reads comes to
            # read what it is to get.
            self._discard(count)
            return
        if not self.may_publish:
            self._discard(count)
            self.disconnect(disconnect.NOT_ALLOWED)
            return
        self.messages_in += count
        if logger.isEnabledFor(logging.DEBUG):
            self._log(messages)
        await self._room.publish(Batch(self, self._state.inbound.take(messages), count))

    def _log(self, messages: list[bytes]) -> None:
        for message in frames.messages(b"".join(messages)):
            start = message[:DEBUG_LENGTH]
            log_event(logging.DEBUG, "message", address=self.address, length=len(message), start=start)

    async def take_turn(self) -> None:
        """Stand in line with the others that bring much work."""
        await self._state.turns.take()

    async def flush(self) -> None:
        """Before the connection ends, deliver what the client is owed: its own echo, above all."""
        if (
            not self._room.idle or self.outbox.owes
        ):  # most have nothing to wait for, and a scope costs them much
            with trio.move_on_after(CLOSE_TIMEOUT):
                await self._room.flush()
                await self.outbox.wait_caught_up()
        if self._wire.decoder.too_big:
            self.disconnect(disconnect.TOO_BIG)

    @property
    def held_bytes(self) -> int:
        """What waits to be sent to it, and what is unfinished of what it sends (bytes)."""
        if self._why is not None and not self._why.polite:
            return 0  # it is going already
        return self.outbox.pending_bytes + self._wire.decoder.unfinished

    # The end.

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect it, as every session; to save memory, what is unfinished is forgotten at once."""
        super().disconnect(why)
        if why is disconnect.OVER_MEMORY:
            self._wire.decoder.forget()

    def _drain(self) -> None:
        super()._drain()
        if self.outbox.owes:
            self._state.nursery.start_soon(self._stop_when_drained, self.outbox, self._scope)
        else:
            self._scope.cancel()

    async def _stop_when_drained(self, outbox: DirectOutbox, scope: trio.CancelScope) -> None:
        """Read on until the backlog is written: a client that must finish writing first would never read."""
        await outbox.wait_caught_up()
        scope.cancel()

    async def _finish(self, why: Disconnect) -> None:
        if why.polite:
            self.outbox.close(drain=True)
            await self.outbox.wait_caught_up()
        self._leave()
        if why is disconnect.OVER_MEMORY and self._wire.send_nowait is None:
            self._reset = True  # it takes nothing, and what is being written to it is held until it ends
            return
        answered = self._wire.decoder.closed and self._wire.close_sent
        if not answered and why.code == disconnect.NO_CLOSE_FRAME:
            return
        if answered and not isinstance(self._transport, trio.SSLStream):
            return
        # A server that shuts down has a deadline for them all, and slow ones may still have much to read.
        with trio.move_on_after(math.inf if why.polite else CLOSE_TIMEOUT) as closing:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if not answered:
                    await self._say_close(frames.close(why.code, why.reason))
                if isinstance(self._transport, trio.SSLStream):
                    await self._transport.aclose()  # with a close_notify
        self._reset = closing.cancelled_caught

    async def _say_close(self, frame: bytes) -> None:
        """Send our close frame, and wait for the client's or its end: closing at once could destroy ours."""
        decoder = self._wire.decoder
        decoder.closing = True
        if decoder.passthrough or decoder.closed:
            # Its frames can't be told apart any more, but its end can.
            await self._wire.send_all(frame)
            await linger(self._transport)
            return
        left = self._wire.send_control(frame)
        if left:
            # Reading must go on meanwhile, for a client that writes before it reads.
            finish = self._wire.finish_control
            self._state.nursery.start_soon(self._write, self.outbox, finish, frame, left)
        while not decoder.closed:
            data: bytes | bytearray = decoder.waiting
            decoder.waiting = b""
            if data or decoder.busy:
                await self.take_turn()
            if not data and not decoder.inflating:
                data = await self._transport.receive_some(RECEIVE_BYTES)
                if not data:
                    return
            self._discard(len(decoder.feed(data)[0]))

    def _release(self) -> None:
        self._state.hub.counters.inflated_bytes += self._wire.decoder.inflated
        self._wire.release()
        self._websocket.release()
        del self._wire, self._websocket
        super()._release()

    # What others ask of it.

    def ping(self) -> None:
        """Send a keepalive ping; not behind a backlog, where it would prove nothing."""
        if self.outbox.pending_bytes == 0:
            left = self._wire.write_now(frames.PING)
            if left:
                unwritten = [frames.PING] if left == NOT_NOW else []
                self._state.nursery.start_soon(self._write, self.outbox, self._wire.write, unwritten)

    def alive_since(self, asked: float) -> bool:
        """Whether the client has sent or taken a byte since then, or is kept from it by its own room."""
        wire = self._wire
        return wire.publishing or wire.heard_at >= asked or wire.moved_at >= asked

    def message_age(self) -> float:
        """How long ago an unfinished message began; while nothing is read from the client, it begins anew."""
        if self._why is not None:
            return 0.0
        decoder = self._wire.decoder
        if self._wire.publishing:
            decoder.now = trio.current_time()
            decoder.begin_anew()
        return 0.0 if decoder.began is None else trio.current_time() - decoder.began

    def start_writer(self) -> None:
        """Start the task that writes the backlog."""
        self._state.nursery.start_soon(self._write, self.outbox, self.outbox.drain)
