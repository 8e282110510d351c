"""
The line to a server: one connection after another, as the policy for reconnecting has it.

What is received runs over the change of connections, and so does what was taken to be sent and not yet
written. Without a policy there is one connection, and the line ends with it.
"""

from __future__ import annotations

import trio

from trioecho.client.connect import open_websocket
from trioecho.client.connection import Connection
from trioecho.client.errors import ClientError, ConnectFailed, ConnectionClosed
from trioecho.client.handshake import Upgrade
from trioecho.client.options import ClientOptions
from trioecho.client.outcome import End
from trioecho.client.receive_queue import Incoming
from trioecho.client.reconnect import STEADY
from trioecho.client.state import Away, Change, Connected
from trioecho.protocol.url import Address

__all__ = ["Line"]


class Line:
    """
    A line to one address: :meth:`connect`, then :meth:`run` until it ends.

    ``end`` is None while it is open or may come back, ``agreed`` what the server last agreed to.
    """

    agreed: Upgrade
    _connection: Connection

    def __init__(self, address: Address, options: ClientOptions) -> None:
        self.address = address
        self.incoming = Incoming()
        self.end: End | None = None
        self._options = options
        self._attempt = 0
        self._away_since: float | None = None
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
                self._tell(Away(error, self._attempt, delay))
                await trio.sleep(delay)
            try:
                stream, self.agreed = await open_websocket(self.address, self._options)
            except ConnectFailed as failed:
                if policy is None or not policy.after_failure(failed, self._attempt):
                    raise
                self._away_since = self._away_since or trio.current_time()
                error = failed
            else:
                break
        self._connection = Connection(
            stream, str(self.address), self.agreed.trailing, self._options, self.incoming, self._on_end
        )
        self._connection.send_first(self._options.greeting, frames or [])
        away = 0.0 if self._away_since is None else trio.current_time() - self._away_since
        self._away_since = None
        self._tell(Connected(away))

    async def run(self) -> None:
        """Keep a connection until the line ends; cancelling cuts it."""
        try:
            while True:
                connection, started = self._connection, trio.current_time()
                await connection.run()
                if self._is_last(connection):
                    break
                self._away_since = trio.current_time()
                if self._away_since - started >= STEADY:
                    self._attempt = 0
                assert connection.end is not None
                with trio.CancelScope() as self._retrying:
                    try:
                        await self.connect(connection.end.error(), connection.left)
                    except ConnectFailed as error:
                        self._finish(End.not_back(str(error)))
                        break
                if self._retrying.cancelled_caught:
                    break
                self._changed.set()
                self._changed = trio.Event()
        finally:
            if self._connection.end is not None:
                self._finish(self._connection.end)
            self._over.set()

    async def send(self, message: str | bytes) -> None:
        """Send on the connection there is, or wait for the next one; see ``Client.send()``."""
        while True:
            if self.end is not None:
                raise self.end.error()
            connection = self._connection
            try:
                return await connection.send(message)
            except ConnectionClosed:
                if self._closing:
                    raise
            # A write may have failed while the server's last words are still to be read.
            await connection.over.wait()
            if self.end is None and self._connection is connection:
                await self._changed.wait()

    async def ping(self) -> float:
        """Ping on the connection there is; see ``Client.ping()``."""
        return await self._connection.ping()

    async def close(self, code: int, reason: str) -> None:
        """Close the connection, or stop coming back, and wait for the end; see ``Client.close()``."""
        self._closing = True
        self._retrying.cancel()
        self._connection.start_close(code, reason)
        await self._over.wait()

    def _is_last(self, connection: Connection) -> bool:
        policy, end = self._options.reconnect, connection.end
        return self._closing or policy is None or end is None or not policy.after_end(end)

    def _on_end(self, connection: Connection) -> None:
        if connection.end is not None and self._is_last(connection):
            self._finish(connection.end)

    def _finish(self, end: End) -> None:
        if self.end is None:
            self.end = end.with_unsent(end.unsent + len(self._connection.left))
            self.incoming.end()
            self._changed.set()

    def _tell(self, change: Change) -> None:
        if self._options.on_change is not None:
            self._options.on_change(change)
