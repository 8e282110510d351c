"""
A connection that survives being lost: one after another, as the policy for reconnecting says.

What is received runs over the change of connections, and so does what was taken to be sent and not yet
written. Without a policy there is one connection, and it all ends with that.
"""

from __future__ import annotations

from dataclasses import replace

import trio

from trioecho.client.close_info import CloseInfo
from trioecho.client.connect import open_websocket
from trioecho.client.connection import ClientConnection
from trioecho.client.errors import ClientError, ConnectFailed, ConnectionClosed
from trioecho.client.handshake import Handshake
from trioecho.client.options import ClientOptions
from trioecho.client.receive_queue import ReceiveQueue
from trioecho.client.reconnect import STEADY
from trioecho.client.resuming import ResumingQueue
from trioecho.client.state import Change, Connected, Missed, Reconnecting
from trioecho.protocol.head import SUBPROTOCOL
from trioecho.protocol.url import Address

__all__ = ["ReconnectingConnection"]


class ReconnectingConnection:
    """
    Connections to one address: :meth:`connect`, then :meth:`run` until the last one has ended.

    ``close_info`` is None while there is a connection or may be one again; ``state`` says which.
    ``handshake`` is what the server last agreed to.
    """

    handshake: Handshake
    state: Change
    receive_queue: ReceiveQueue
    _connection: ClientConnection

    def __init__(self, address: Address, options: ClientOptions) -> None:
        self.address = address
        self.resuming = ResumingQueue(self._on_missed) if options.resume else None
        self.receive_queue = self.resuming or ReceiveQueue()
        self.close_info: CloseInfo | None = None
        if options.resume:
            others = [name for name in options.subprotocols if name != SUBPROTOCOL]
            options = replace(options, subprotocols=(SUBPROTOCOL, *others))
        self._options = options
        self._attempt = 0
        self._fresh_token = callable(options.token)
        self._was_connected = False
        self._down_since: float | None = None
        self._closing = False
        self._retrying = trio.CancelScope()
        self._changed = trio.Event()
        self._over = trio.Event()

    async def connect(
        self, lost: ClientError | None = None, frames: list[bytes | bytearray] | None = None
    ) -> None:
        """
        Open a connection, as often as the policy allows; it begins with the greeting and then ``frames``.

        Raises:
            ConnectFailed: the last attempt's failure.

        """
        policy, error = self._options.reconnect, lost
        while True:
            if error is not None and policy is not None:
                delay = policy.delay(self._attempt, error)
                self._attempt += 1
                self._report(Reconnecting(error, self._attempt, delay))
                await trio.sleep(delay)
            try:
                address = self.address if self.resuming is None else self.resuming.asking(self.address)
                stream, self.handshake = await open_websocket(address, self._options)
            except ConnectFailed as failed:
                # A token that was never accepted is wrong; one that was may be late.
                fresh = self._fresh_token and self._was_connected
                if policy is None or not policy.after_failure(failed, self._attempt, fresh_token=fresh):
                    raise
                self._down_since = self._down_since or trio.current_time()
                error = failed
            else:
                break
        self._was_connected = True
        if self.resuming is not None:
            self.resuming.begin(self.handshake.subprotocol)
        self._connection = ClientConnection(
            stream,
            str(self.address),
            self.handshake,
            self._options,
            self.receive_queue,
            self._on_end,
        )
        self._connection.send_first(self._options.greeting, frames or [])
        downtime = 0.0 if self._down_since is None else trio.current_time() - self._down_since
        self._down_since = None
        self._report(Connected(downtime))

    async def run(self) -> None:
        """Keep a connection until the last has ended; cancelling aborts it."""
        try:
            while True:
                connection, started = self._connection, trio.current_time()
                await connection.run()
                if self._is_last(connection):
                    break
                self._down_since = trio.current_time()
                if self._down_since - started >= STEADY:
                    self._attempt = 0
                assert connection.close_info is not None
                with trio.CancelScope() as self._retrying:
                    try:
                        await self.connect(connection.close_info.error(), connection.unsent)
                    except ConnectFailed as error:
                        self._finish(CloseInfo.not_reconnected(str(error)))
                        break
                if self._retrying.cancelled_caught:
                    break
                self._changed.set()
                self._changed = trio.Event()
        finally:
            if self._connection.close_info is not None:
                self._finish(self._connection.close_info)
            self._over.set()

    async def send(self, message: str | bytes) -> None:
        """Send on the present connection, or wait for the next one; see ``Client.send()``."""
        while True:
            if self.close_info is not None:
                raise self.close_info.error()
            connection = self._connection
            try:
                return await connection.send(message)
            except ConnectionClosed:
                if self._closing:
                    raise
            # A write may have failed while the server's last words are still to be read.
            await connection.over.wait()
            if self.close_info is None and self._connection is connection:
                await self._changed.wait()

    async def ping(self) -> float:
        """Ping on the present connection; see ``Client.ping()``."""
        return await self._connection.ping()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, or stop reconnecting, and wait for the end; see ``Client.close()``."""
        self._closing = True
        self._retrying.cancel()
        self._connection.start_close(code, reason)
        await self._over.wait()

    def _is_last(self, connection: ClientConnection) -> bool:
        policy, close_info = self._options.reconnect, connection.close_info
        if self._closing or policy is None or close_info is None:
            return True
        return not policy.after_end(close_info, fresh_token=self._fresh_token)

    def _on_end(self, connection: ClientConnection) -> None:
        if connection.close_info is not None and self._is_last(connection):
            self._finish(connection.close_info)

    def _finish(self, close_info: CloseInfo) -> None:
        if self.close_info is None:
            self.close_info = close_info.with_unsent(close_info.unsent + len(self._connection.unsent))
            self.receive_queue.end()
            self._changed.set()

    def _on_missed(self, count: int | None) -> None:
        if self._options.on_change is not None:
            self._options.on_change(Missed(count))

    def _report(self, change: Change) -> None:
        self.state = change
        if self._options.on_change is not None:
            self._options.on_change(change)
