"""
One open WebSocket as its client sees it: a reader, a writer and a keepalive, until one of them ends it.

The protocol is wsproto's; what is here is who waits for whom, and for how long. No server, however it
behaves, makes an exception of these tasks: how the connection ended is recorded once, in
:attr:`ClientConnection.close_info`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import trio
import wsproto.events as events
from wsproto.connection import ConnectionState

from trioecho.client import keepalive
from trioecho.client.assembly import TooLarge
from trioecho.client.close_info import CloseInfo
from trioecho.client.close_timer import CloseTimer, time_to_close
from trioecho.client.handshake import Handshake
from trioecho.client.options import ClientOptions
from trioecho.client.pings import Pings
from trioecho.client.protocol import TOO_BIG, ClientProtocol
from trioecho.client.receive_queue import ReceiveQueue
from trioecho.client.resuming import BadHead
from trioecho.client.send_queue import SendQueue
from trioecho.client.turns import Turns
from trioecho.client.writer import Writer

__all__ = ["ClientConnection"]

SLICE = 64 * 1024
"""How much one read takes from the socket (bytes)."""

LINGER = 1.0
"""How long the server is given to hang up first after both close frames (seconds; RFC 6455, 7.1.1)."""

NO_CODE = 1005
"""What wsproto gives for a close frame without a code (RFC 6455, section 7.4.1)."""


class ClientConnection:
    """
    A connection whose handshake is done. :meth:`run` drives it; the other methods are for the program.

    ``where`` names the server in sentences. Messages go to ``receive_queue``. ``on_end`` is called once, with
    :attr:`close_info` set; the socket is free when :meth:`run` returns.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        where: str,
        handshake: Handshake,
        options: ClientOptions,
        receive_queue: ReceiveQueue,
        on_end: Callable[[ClientConnection], None],
    ) -> None:
        self.close_info: CloseInfo | None = None
        self.over = trio.Event()
        self._receive_queue = receive_queue
        self._send_queue = SendQueue()
        self._on_end = on_end
        self._stream = stream
        self._where = where
        self._options = options
        self._protocol = ClientProtocol(handshake, options.max_message_size)
        self._trailing = handshake.trailing
        self._pings = Pings()
        self._writer = Writer(stream, self._send_queue, self._on_written)
        self._close_code: int | None = None
        self._close_timer = CloseTimer()
        self._last_sign = trio.current_time()
        self._turns = Turns()

    async def run(self) -> None:
        """Read and write until the connection has ended, then free the socket; cancelling aborts it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                if self._options.pings:
                    nursery.start_soon(self._keep_alive, nursery.cancel_scope)
                with self._close_timer.scope as scope:
                    await self._read()
                if scope.cancelled_caught:
                    self._time_out()
                nursery.cancel_scope.cancel()
        finally:
            self._lose("was aborted by us")
            await trio.aclose_forcefully(self._stream)

    async def send(self, message: str | bytes) -> None:
        """Send one message, once those before it leave space; see ``Client.send()``."""
        await self._send_queue.wait_for_space()
        if self.closing:
            raise (self.close_info or CloseInfo.closing()).error()
        self._send_queue.put(self._protocol.encode(message))

    def send_first(self, message: str | bytes | None, frames: Sequence[bytes | bytearray]) -> None:
        """Queue, before anything else, a message and then the frames that another connection left unsent."""
        if message is not None:
            self._send_queue.put(self._protocol.encode(message))
        for frame in frames:
            self._send_queue.put(frame)

    @property
    def unsent(self) -> list[bytes | bytearray]:
        """The frames of messages that were taken and of which nothing has been written."""
        return self._send_queue.unsent

    async def ping(self) -> float:
        """Measure the round trip to the server; see ``Client.ping()``."""
        if self.closing:
            raise (self.close_info or CloseInfo.closing()).error()
        started, payload = trio.current_time(), self._pings.new()
        self._send_queue.put_ping(self._protocol.send(events.Ping(payload)))
        await self._pings.answer(payload)
        if self.close_info is not None:
            raise self.close_info.error()
        return trio.current_time() - started

    def start_close(self, code: int, reason: str) -> None:
        """Queue our close frame behind what is pending, unless one has gone already; do not wait."""
        if self._protocol.state is not ConnectionState.OPEN:
            return
        self._close_code = code
        unwritten = self._send_queue.unwritten
        self._send_queue.put_last(self._protocol.send(events.CloseConnection(code, reason)))
        self._writer.hurry(self._options.close_timeout)
        self._close_timer.limit(time_to_close(self._options.close_timeout, unwritten))

    @property
    def closing(self) -> bool:
        """Whether a close frame is on its way or has come, or the connection is gone."""
        return self._protocol.state is not ConnectionState.OPEN or self._send_queue.closed

    # The writer

    async def _write(self) -> None:
        try:
            await self._writer.run()
            self._time_out()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # What the server sent before it went away can still be read, its close frame among it.
            self._send_queue.close()
            self._close_timer.limit(LINGER)

    def _on_written(self) -> None:
        if self.close_info is not None:
            self._close_timer.limit(LINGER)

    # The reader

    async def _read(self) -> None:
        """Read until the server hangs up."""
        data: bytes | None = self._trailing
        while data is not None:
            self._turns.begin()
            for piece in self._protocol.pieces(data):
                if self.close_info is None:
                    self._protocol.receive_data(piece)
                await self._handle_events()
                if self.close_info is not None:
                    break
                with self._close_timer.paused():
                    await self._receive_queue.wait_for_space()
            data = await self._receive()

    async def _receive(self) -> bytes | None:
        """Read once. None, with the end recorded: there is nothing more to read."""
        try:
            data = bytes(await self._stream.receive_some(SLICE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._lose("was broken off")
            return None
        if data:
            self._last_sign = trio.current_time()
            return data
        if self._close_code is not None and not self._send_queue.closed:
            # Not clean, but common: our close frame is answered by hanging up.
            self._finish(CloseInfo.ours())
        else:
            self._lose("ended without a close frame")
        return None

    async def _handle_events(self) -> None:
        for event in self._protocol.events():
            if isinstance(event, events.CloseConnection):
                # A writer whose write is done but who has not run since must not count as unfinished.
                await trio.lowlevel.checkpoint()
            self._handle(event)
            if self.close_info is not None:
                return
            await self._turns.handled(resting=self._unwanted)
        if self._unwanted or self._protocol.compressed:
            await self._turns.give(resting=self._unwanted)

    @property
    def _unwanted(self) -> bool:
        """Whether we only wait for the server's close frame, and nobody wants what comes before it."""
        return self.closing and self._receive_queue.discarding

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, (events.TextMessage, events.BytesMessage)):
            try:
                if (message := self._protocol.add(event)) is not None:
                    self._receive_queue.put(message)
            except TooLarge:
                self._give_up(TOO_BIG, self._protocol.broken(TOO_BIG))
            except BadHead as problem:
                self._give_up(1002, f"broke trioecho.v1: {problem}")
        elif isinstance(event, events.Ping):
            if self._protocol.state is ConnectionState.OPEN:
                self._send_queue.put_pong(self._protocol.send(event.response()))
        elif isinstance(event, events.Pong):
            self._pings.answered(bytes(event.payload))
        elif isinstance(event, events.CloseConnection):
            self._handle_close(int(event.code), event.reason or "", event)

    def _handle_close(self, code: int, reason: str, event: events.CloseConnection) -> None:
        state = self._protocol.state
        if state is ConnectionState.REMOTE_CLOSING:
            self._finish(CloseInfo.by_server(self._where, code, reason))
            self._writer.hurry(self._options.close_timeout)
            # Our answer goes behind a message that is half written; after it, the server has LINGER.
            self._close_timer.limit(max(LINGER, self._options.close_timeout))
            self._send_queue.put_last(self._protocol.send(event.response()))
        elif state is ConnectionState.CLOSED:
            self._close_timer.limit(LINGER)
            if code in (self._close_code, NO_CODE):
                self._finish(CloseInfo.ours(code, reason))
            else:
                # Not an answer: the server closed at the same time, for a reason of its own.
                self._finish(CloseInfo.by_server(self._where, code, reason))
        else:
            self._give_up(code, self._protocol.broken(code, reason))

    def _give_up(self, code: int, what: str) -> None:
        """End the connection over something a server may not do, and tell it so (RFC 6455, 7.1.7)."""
        self._finish(CloseInfo.gave_up(self._where, code, what))
        self.start_close(code, what)
        if self._send_queue.empty:
            self._close_timer.limit(LINGER)

    # The end

    def _finish(self, close_info: CloseInfo) -> None:
        """Record how it ended, once, and release everybody who waits."""
        if self.close_info is None:
            self._send_queue.close()
            self.close_info = close_info.with_unsent(self._send_queue.in_doubt)
            self.over.set()
            self._pings.end()
            self._on_end(self)

    def _lose(self, how: str) -> None:
        self._finish(CloseInfo.lost(self._where, how))

    def _time_out(self) -> None:
        """Closing took too long: free the socket now."""
        if self._send_queue.closed:
            self._lose("was broken off")
        elif self._send_queue.unwritten:
            self._lose("did not take in time what was still to be sent")
        else:
            self._lose("did not answer our close frame in time")
        self._close_timer.limit(0)

    async def _keep_alive(self, connection: trio.CancelScope) -> None:
        """End the connection when the server has silently gone."""
        options = self._options
        await keepalive.watch(
            options.ping_interval, options.ping_timeout, ping=self._send_ping, alive=self._is_alive
        )
        self._lose(f"gave no sign of life for {options.ping_timeout:g} s after a ping")
        connection.cancel()

    def _send_ping(self) -> None:
        if not self.closing:
            self._send_queue.put_ping(self._protocol.send(events.Ping(os.urandom(4))))

    def _is_alive(self, since: float) -> bool:
        """
        Whether the server is not known to be gone.

        Any byte that came and any write that had to wait is a sign of life. While the program takes no
        messages the server's pongs are not read, which does not mean that it is dead.
        """
        sign = max(self._last_sign, self._writer.last_sign)
        return sign >= since or self._receive_queue.full or self.closing
