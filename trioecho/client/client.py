"""``open_client()``: a WebSocket to any server, as an async context manager that yields messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import trio

from trioecho.client.close_info import LONGEST_REASON, CloseInfo
from trioecho.client.errors import ConnectionClosed, ConnectionLost
from trioecho.client.options import ClientOptions, Options
from trioecho.client.reconnecting import ReconnectingConnection
from trioecho.client.state import Change
from trioecho.protocol.url import parse_address

__all__ = ["Client", "open_client"]


class Client:
    """
    A connection, as :func:`open_client` yields it; with a policy for reconnecting, one after another.

    Any number of tasks may send and receive. Each message is received once, by one of them.
    """

    def __init__(self, connection: ReconnectingConnection) -> None:
        self._connection = connection
        self._end_reported = False

    async def send(self, message: str | bytes) -> None:
        """
        Send a text (``str``) or binary (``bytes``) message.

        Returns once the message is queued behind at most 64 KiB of others; a slow server makes it wait, and
        so does reconnecting. Cancelled while it waits, nothing is sent; a message is never sent in part.

        Raises:
            ConnectionClosed: the connection is closed, or closing.
            ConnectionLost: it was lost, or broken off because the server broke the protocol.
            TypeError: ``message`` is neither ``str`` nor ``bytes``.
            UnicodeEncodeError: the text holds what UTF-8 cannot encode (a lone surrogate).

        """
        if not isinstance(message, (str, bytes)):
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        try:
            await self._connection.send(message)
        except ConnectionLost:
            self._end_reported = True
            raise

    async def receive(self) -> str | bytes:
        """
        Wait for the next message. Cancelling loses none.

        Raises:
            ConnectionClosed: there will be none: the connection is closed.
            ConnectionLost: it was lost, or broken off because the server broke the protocol.

        """
        message = await self._connection.receive_queue.get()
        if message is None:
            raise self._error()
        return message

    async def receive_batch(self) -> list[str | bytes]:
        """
        Wait for a message and take all that have come by then, the oldest first; never an empty list.

        For programs that hand messages on in bulk; raises what :meth:`receive` does.
        """
        messages = await self._connection.receive_queue.get_all()
        if not messages:
            raise self._error()
        return messages

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Iterate over the messages to come."""
        return self

    async def __anext__(self) -> str | bytes:
        """
        Wait for the next message.

        The iteration ends when we have closed the connection, or the server has with 1000 (normal) or 1001
        (going away); any other end is raised, as :meth:`receive` does.
        """
        message = await self._connection.receive_queue.get()
        if message is not None:
            return message
        error = self._error()
        assert self._connection.close_info is not None
        raise StopAsyncIteration if self._connection.close_info.quiet else error

    def _error(self) -> ConnectionClosed:
        assert self._connection.close_info is not None
        self._end_reported = True
        return self._connection.close_info.error()

    async def ping(self) -> float:
        """
        Measure the round trip to the server, in seconds.

        Raises:
            ConnectionClosed: the connection ended before the answer came.

        """
        return await self._connection.ping()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Send what is pending and then a close frame, and wait until the server has answered and hung up.

        Messages which the server sent before its answer can still be received, now or later. Does not raise
        when the server fails to answer in time (``close_timeout``): :attr:`close_info` then says so.
        Cancelled, the closing goes on. Leaving ``open_client()`` does the same, but drops what is unread.

        Raises:
            ValueError: the code is not one that a client may send (RFC 6455, section 7.4), or the reason has
                more than 123 bytes of UTF-8, or holds what UTF-8 cannot encode.

        """
        if code in (1004, 1005, 1006, 1015) or not 1000 <= code <= 4999:
            raise ValueError(f"a close code is from 1000 to 4999, without 1004 to 1006 and 1015, not {code}")
        if len(reason.encode()) > LONGEST_REASON:
            raise ValueError(f"a close reason has at most {LONGEST_REASON} bytes of UTF-8")
        await self._connection.close(code, reason)

    @property
    def address(self) -> str:
        """The URL in its full form, without a password."""
        return str(self._connection.address)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, if any."""
        return self._connection.handshake.subprotocol

    @property
    def response_headers(self) -> tuple[tuple[str, str], ...]:
        """The header fields of the server's handshake, names in lower case."""
        return self._connection.handshake.headers

    @property
    def state(self) -> Change:
        """Whether there is a connection or the next is awaited; once it has ended, what it was last."""
        return self._connection.state

    @property
    def place(self) -> str | None:
        """
        Where in its room the client is: after the last message that has come, received or not.

        ``None`` without ``resume``, or if the server does not speak ``trioecho.v1``.
        """
        resuming = self._connection.resuming
        return None if resuming is None else resuming.place

    @property
    def close_info(self) -> CloseInfo | None:
        """How it ended; None: the connection is open, or will be again."""
        return self._connection.close_info

    @property
    def close_code(self) -> int | None:
        """The code it ended with: 1005 if none was given, 1006 without a close frame; None: it is open."""
        return self._connection.close_info.code if self._connection.close_info else None

    @property
    def close_reason(self) -> str | None:
        """What the close frame gave as the reason; None: the connection is open."""
        return self._connection.close_info.reason if self._connection.close_info else None


@asynccontextmanager
async def open_client(url: str, **options: Unpack[Options]) -> AsyncIterator[Client]:
    """
    Connect to a WebSocket server; close it with a close frame when the block is left.

    Leaving by an exception closes it like this too, within ``close_timeout``; being cancelled aborts the
    connection at once. Exceptions of the block come out as they are, never wrapped in a group.

    Args:
        url: ``ws://``, ``wss://`` or ``ws+unix:/path.sock:/room``; ``ws://`` may be left out.
        **options: see :class:`~trioecho.client.options.ClientOptions`.

    Raises:
        OptionError: the URL or an option cannot work; nothing was tried.
        ConnectFailed: no connection; its subclasses say more.
        ConnectionLost: on leaving, if the connection was lost and no call before has said so.

    """
    connection = ReconnectingConnection(parse_address(url), ClientOptions(**options))
    await connection.connect()
    client = Client(connection)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            try:
                yield client
            except BaseException as error:
                failure = error
                if not isinstance(error, Exception):
                    nursery.cancel_scope.cancel()
            connection.receive_queue.discard()
            await client.close()
    except BaseExceptionGroup as group:
        # Only being cancelled while closing comes to this, or an exception of the caller's `on_change`.
        _, others = group.split(trio.Cancelled)
        if others is not None:
            raise
        raise failure or group.exceptions[0] from None
    if failure is not None:
        raise failure
    ended = connection.close_info
    if ended is not None and not client._end_reported and (not ended.clean or ended.unsent):
        raise ended.error()
