"""``open_client()``: a WebSocket to any server, as an async context manager that yields messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import trio

from trioecho.client.errors import ConnectionClosed, ConnectionLost
from trioecho.client.options import ClientOptions, Options
from trioecho.client.outcome import End
from trioecho.client.reconnecting import Line
from trioecho.protocol.url import parse_address

__all__ = ["Client", "open_client"]


class Client:
    """
    A connection, as :func:`open_client` yields it; with a policy for reconnecting, one after another.

    Any number of tasks may send and receive. Each message is received once, by one of them.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._told = False

    async def send(self, message: str | bytes) -> None:
        """
        Send a text (``str``) or binary (``bytes``) message.

        Returns once the message is queued behind at most 64 KiB of others; a slow server makes it wait, and
        so does being away. Cancelled while it waits, nothing is sent; a message is never sent in part.

        Raises:
            ConnectionClosed: the connection is closed, or closing.
            ConnectionLost: it was lost, or broken off because the server misbehaved.
            TypeError: ``message`` is neither ``str`` nor ``bytes``.
            UnicodeEncodeError: the text holds what UTF-8 cannot encode (a lone surrogate).

        """
        if not isinstance(message, (str, bytes)):
            raise TypeError(f"a message is str or bytes, not {type(message).__name__}")
        try:
            await self._line.send(message)
        except ConnectionLost:
            self._told = True
            raise

    async def receive(self) -> str | bytes:
        """
        Wait for the next message. Cancelling loses none.

        Raises:
            ConnectionClosed: there will be none: the connection is closed.
            ConnectionLost: it was lost, or broken off because the server misbehaved.

        """
        message = await self._line.incoming.get()
        if message is None:
            raise self._ended()
        return message

    async def receive_batch(self) -> list[str | bytes]:
        """
        Wait for a message and take all that have come by then, the oldest first; never an empty list.

        For programs that hand messages on in bulk; raises what :meth:`receive` does.
        """
        messages = await self._line.incoming.get_all()
        if not messages:
            raise self._ended()
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
        message = await self._line.incoming.get()
        if message is not None:
            return message
        error = self._ended()
        assert self._line.end is not None
        raise StopAsyncIteration if self._line.end.quiet else error

    def _ended(self) -> ConnectionClosed:
        assert self._line.end is not None
        self._told = True
        return self._line.end.error()

    async def ping(self) -> float:
        """
        Measure the round trip to the server, in seconds.

        Raises:
            ConnectionClosed: the connection ended before the answer came.

        """
        return await self._line.ping()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """
        Send what is pending and then a close frame, and wait until the server has answered and hung up.

        Messages which the server sent before its answer can still be received, now or later. Does not raise
        when the server fails to answer in time (``close_timeout``): :attr:`end` then says so. Cancelled, the
        closing goes on. Leaving ``open_client()`` does the same, but throws away what is unread.
        """
        await self._line.close(code, reason)

    @property
    def address(self) -> str:
        """The URL in its full form, without a password."""
        return str(self._line.address)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose, if any."""
        return self._line.agreed.subprotocol

    @property
    def response_headers(self) -> tuple[tuple[str, str], ...]:
        """The header fields of the server's handshake, names in lower case."""
        return self._line.agreed.headers

    @property
    def end(self) -> End | None:
        """How it ended; None: the connection is open, or will come back."""
        return self._line.end

    @property
    def close_code(self) -> int | None:
        """The code it ended with: 1005 if none was given, 1006 without a close frame; None: it is open."""
        return self._line.end.code if self._line.end else None

    @property
    def close_reason(self) -> str | None:
        """What the close frame gave as the reason; None: the connection is open."""
        return self._line.end.reason if self._line.end else None


@asynccontextmanager
async def open_client(url: str, **options: Unpack[Options]) -> AsyncIterator[Client]:
    """
    Connect to a WebSocket server; close politely when the block is left.

    Leaving by an exception closes politely too, within ``close_timeout``; being cancelled cuts the connection
    at once. Exceptions of the block come out as they are, never wrapped in a group.

    Args:
        url: ``ws://``, ``wss://`` or ``ws+unix:/path.sock:/room``; ``ws://`` may be left out.
        **options: see :class:`~trioecho.client.options.ClientOptions`.

    Raises:
        OptionError: the URL or an option cannot work; nothing was tried.
        ConnectFailed: no connection; its subclasses say more.
        ConnectionLost: on leaving, if the connection was lost and no call before has said so.

    """
    line = Line(parse_address(url), ClientOptions(**options))
    await line.connect()
    client = Client(line)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.run)
            try:
                yield client
            except BaseException as error:
                failure = error
                if not isinstance(error, Exception):
                    nursery.cancel_scope.cancel()
            line.incoming.discard()
            await client.close()
    except BaseExceptionGroup as group:
        # Only being cancelled while closing comes to this, or an exception of the caller's `on_change`.
        _, others = group.split(trio.Cancelled)
        if others is not None:
            raise
        raise failure or group.exceptions[0] from None
    if failure is not None:
        raise failure
    if line.end is not None and not client._told and (not line.end.polite or line.end.unsent):
        raise line.end.error()
