"""
One open WebSocket as its client sees it: a reader, a writer and a keepalive, until one of them ends it.

The protocol is wsproto's; what is here is who waits for whom, and for how long. No server, however it
behaves, makes an exception of these tasks: how it ended is recorded once, in :attr:`Connection.end`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import trio
import wsproto.events as events
from wsproto.connection import Connection as Protocol
from wsproto.connection import ConnectionState, ConnectionType

from trioecho.client.assembly import Assembly, TooLarge
from trioecho.client.close_timer import Patience
from trioecho.client.options import ClientOptions
from trioecho.client.outcome import End
from trioecho.client.pings import Pings
from trioecho.client.receive_queue import Incoming
from trioecho.client.send_queue import Outgoing

__all__ = ["Connection"]

SLICE = 64 * 1024
"""How much one read takes from the socket, and one write gives to it (bytes)."""

LINGER = 1.0
"""How long the server is given to hang up first after both close frames (seconds; RFC 6455, 7.1.1)."""

NO_CODE = 1005
"""What wsproto gives for a close frame without a code (RFC 6455, section 7.4.1)."""

WAITED = 0.01
"""A write that took longer than this had to wait until the server took something (seconds)."""


class Connection:
    """
    A connection whose handshake is done. :meth:`run` drives it; the other methods are for the program.

    ``where`` names the server in sentences. ``trailing`` is what came right behind the handshake. Messages go
    to ``incoming``. ``on_end`` is called once, with :attr:`end` set; the socket is free when :meth:`run`
    returns.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        where: str,
        trailing: bytes,
        options: ClientOptions,
        incoming: Incoming,
        on_end: Callable[[Connection], None],
    ) -> None:
        self.end: End | None = None
        self.over = trio.Event()
        self._incoming = incoming
        self._on_end = on_end
        self._stream = stream
        self._where = where
        self._options = options
        self._protocol = Protocol(ConnectionType.CLIENT, trailing_data=trailing)
        self._outgoing = Outgoing()
        self._assembly = Assembly(options.max_message_size)
        self._pings = Pings()
        self._writing = trio.CancelScope()
        self._close_code: int | None = None
        self._patience = Patience(options.close_timeout)
        self._last_sign = trio.current_time()

    async def run(self) -> None:
        """Read and write until the connection has ended, then free the socket; cancelling cuts it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write)
                if self._options.pings:
                    nursery.start_soon(self._keep_alive, nursery.cancel_scope)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self._lose("was cut")
            await trio.aclose_forcefully(self._stream)

    async def send(self, message: str | bytes) -> None:
        """
        Send one message, once those before it leave room. Cancelled, it is either not sent or sent whole.

        Raises:
            ConnectionClosed: the connection is closed or closing.

        """
        await self._outgoing.room()
        if self.closing:
            raise (self.end or End.closing()).error()
        self._outgoing.put(self._encode(message))

    def send_first(self, message: str | bytes | None, frames: Sequence[bytes | bytearray]) -> None:
        """Queue, before anything else, a message and then the frames that another connection had left."""
        if message is not None:
            self._outgoing.put(self._encode(message))
        for frame in frames:
            self._outgoing.put(frame)

    @property
    def left(self) -> list[bytes | bytearray]:
        """The frames of messages that were taken and of which nothing has been written."""
        return self._outgoing.left

    def _encode(self, message: str | bytes) -> bytes:
        event = events.TextMessage(message) if isinstance(message, str) else events.BytesMessage(message)
        return self._protocol.send(event)

    async def ping(self) -> float:
        """
        Measure the round trip to the server, in seconds.

        Raises:
            ConnectionClosed: the connection ended before the answer came.

        """
        if self.closing:
            raise (self.end or End.closing()).error()
        started, payload = trio.current_time(), self._pings.new()
        self._outgoing.put_ping(self._protocol.send(events.Ping(payload)))
        await self._pings.answer(payload)
        if self.end is not None:
            raise self.end.error()
        return trio.current_time() - started

    def start_close(self, code: int, reason: str) -> None:
        """Queue our close frame behind what is pending, unless one has gone already; do not wait."""
        if self._protocol.state is ConnectionState.OPEN:
            self._close_code = code
            self._outgoing.put_last(self._protocol.send(events.CloseConnection(code, reason)))
            self._writing.deadline = trio.current_time() + self._options.close_timeout

    @property
    def closing(self) -> bool:
        """Whether a close frame is on its way or has come, or the connection is gone."""
        return self._protocol.state is not ConnectionState.OPEN or self._outgoing.closed

    # The writer

    async def _write(self) -> None:
        """Write frames as they come; a server that takes nothing more while we close is given up."""
        try:
            while True:
                chunk = memoryview(await self._outgoing.take())
                while chunk:
                    started = trio.current_time()
                    with trio.CancelScope() as self._writing:
                        if self.closing:
                            self._writing.deadline = started + self._options.close_timeout
                        await self._stream.send_all(chunk[:SLICE])
                    if self._writing.cancelled_caught:
                        self._lose("took nothing more of what was still to be sent")
                        self._patience.limit(0)
                        return self._patience.begin()
                    if trio.current_time() - started > WAITED:
                        self._last_sign = trio.current_time()
                    chunk = chunk[SLICE:]
                if self.closing and self._outgoing.empty:
                    self._patience.begin()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # What the server sent before it went away can still be read, its close frame among it.
            self._outgoing.close()
            self._patience.limit(LINGER)
            self._patience.begin()

    # The reader

    async def _read(self) -> None:
        """Read until the server hangs up, or has had its time to."""
        while True:
            for event in self._protocol.events():
                if isinstance(event, events.CloseConnection):
                    # A writer whose write is done but who has not run since must not count as unfinished.
                    await trio.lowlevel.checkpoint()
                self._handle(event)
                if self.end is not None:
                    break
            if self.end is None:
                await self._incoming.room()
            data = await self._receive()
            if data is None:
                return
            self._last_sign = trio.current_time()
            if self.end is None:
                self._protocol.receive_data(data)

    async def _receive(self) -> bytes | None:
        """Read once. None, with the end recorded: there is nothing more to read."""
        data, broken = b"", False
        with self._patience.waiting() as scope:
            try:
                data = bytes(await self._stream.receive_some(SLICE))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                broken = True
        if data:
            return data
        asked = self._close_code is not None and not self._outgoing.closed
        if broken or (scope.cancelled_caught and not asked):
            self._lose("was broken off")
        elif scope.cancelled_caught:
            self._lose("did not answer our close frame in time")
        elif asked:
            # Not polite, but common: our close frame is answered by hanging up.
            self._finish(End.ours())
        else:
            self._lose("ended without a close frame")
        return None

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, (events.TextMessage, events.BytesMessage)):
            try:
                message = self._assembly.add(event)
            except TooLarge:
                self._give_up(
                    1009,
                    f"sent a message of more than {self._options.max_message_size} bytes (max-message-size)",
                )
            else:
                if message is not None:
                    self._incoming.put(message)
        elif isinstance(event, events.Ping):
            if self._protocol.state is ConnectionState.OPEN:
                self._outgoing.put_pong(self._protocol.send(event.response()))
        elif isinstance(event, events.Pong):
            self._pings.answered(bytes(event.payload))
        elif isinstance(event, events.CloseConnection):
            self._handle_close(int(event.code), event.reason or "", event)

    def _handle_close(self, code: int, reason: str, event: events.CloseConnection) -> None:
        state = self._protocol.state
        self._patience.limit(LINGER)
        if state is ConnectionState.REMOTE_CLOSING:
            self._finish(End.by_server(self._where, code, reason))
            self._outgoing.put_last(self._protocol.send(event.response()))
        elif state is ConnectionState.CLOSED and code in (self._close_code, NO_CODE):
            self._finish(End.ours(code, reason))
        elif state is ConnectionState.CLOSED:
            # Not an answer: the server closed at the same time, for a reason of its own.
            self._finish(End.by_server(self._where, code, reason))
        else:
            self._give_up(code, f"broke the protocol: {reason}")

    def _give_up(self, code: int, what: str) -> None:
        """End the connection over something a server may not do, and say so to it (RFC 6455, 7.1.7)."""
        self._finish(End.gave_up(self._where, code, what))
        self._patience.limit(LINGER)
        self.start_close(code, what)

    # The end

    def _finish(self, end: End) -> None:
        """Record how it ended, once, and let go everybody who waits."""
        if self.end is None:
            self._outgoing.close()
            self.end = end.with_unsent(self._outgoing.in_doubt)
            self.over.set()
            self._pings.end()
            self._on_end(self)

    def _lose(self, how: str) -> None:
        self._finish(End.lost(self._where, how))

    async def _keep_alive(self, connection: trio.CancelScope) -> None:
        """
        End the connection when the server is gone without a word.

        Any byte that came and any write that had to wait is a sign of life. While the program takes no
        messages the server's pongs are not read, which is no sign of death.
        """
        options = self._options
        while True:
            await trio.sleep(options.ping_interval)
            if self.closing:
                return
            asked = trio.current_time()
            self._outgoing.put_ping(self._protocol.send(events.Ping(os.urandom(4))))
            await trio.sleep(options.ping_timeout)
            if self._last_sign < asked and not self._incoming.full and not self.closing:
                self._lose(f"gave no sign of life for {options.ping_timeout:g} s after a ping")
                connection.cancel()
