"""
One client's trio-websocket connection, and all that is done to that library.

trio-websocket is the authority on the protocol: what the express decoder leaves over, it reads, judges and
answers. Its own way to a connection parses the handshake a second time and keeps h11's objects to the end. So
it is given ``wsproto.connection.Connection`` in the place of a ``WSConnection``: the same protocol, without a
handshake in it. The handshake is ours: see ``trioecho.http.upgrade`` and ``trioecho.sessions.handshake``.

What this leans on that the libraries do not promise; a test of the same name says which of it has changed
when one of them has:

- ``WebSocketConnection`` uses no more of its ``WSConnection`` than a ``Connection`` has: ``client``,
  ``state``, ``events``, ``receive_data`` and ``send``.
- ``WebSocketConnection._reader_task`` is its reader, for a nursery to run. Here a client's own task does.
- ``WebSocketConnection._connection_proposal`` is what waits for a handshake; without one it is dropped.
- ``Connection._proto._parse_more`` is a generator of the object that holds it, a reference cycle.
"""

from __future__ import annotations

from typing import cast

import trio
from trio_websocket import CloseReason, WebSocketConnection
from wsproto import WSConnection
from wsproto.connection import SERVER, Connection

__all__ = ["TrioWebSocketConnection"]


class TrioWebSocketConnection:
    """The connection over ``stream``, whose handshake is over; larger messages than allowed end it."""

    __slots__ = ("_protocol", "_websocket")

    def __init__(self, stream: trio.abc.Stream, max_message_size: int) -> None:
        self._protocol = Connection(SERVER)
        self._websocket = WebSocketConnection(
            stream, cast(WSConnection, self._protocol), max_message_size=max_message_size
        )
        self._websocket._connection_proposal = None

    @property
    def closed(self) -> CloseReason | None:
        """Why the connection was closed, if it was."""
        return self._websocket.closed

    async def read(self) -> None:
        """Run trio-websocket's reader until the connection ends. If cancelled, it can only be closed."""
        await self._websocket._reader_task()

    def release(self) -> None:
        """Undo the library's reference cycle, so that nothing waits for the cyclic garbage collector."""
        # Closing the generator would do in Python 3.11; later ones keep its frame, and with it the object.
        del self._protocol._proto._parse_more
