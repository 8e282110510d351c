"""What is leant on in trio-websocket and wsproto without their promise is still so."""

from __future__ import annotations

import gc
import inspect
import weakref

import trio
from helpers.streams import memory
from helpers.traffic import masked
from trio_websocket import WebSocketConnection
from wsproto.connection import SERVER, Connection

from trioecho.sessions.trio_websocket_connection import TrioWebSocketConnection


async def test_the_reader_answers_a_ping_and_a_close_over_a_connection_without_a_handshake() -> None:
    async with memory() as (near, far):
        await far.send_all(masked(0x89, b"ping") + masked(0x88, b"\x03\xe8bye"))
        connection = TrioWebSocketConnection(near, 2**20)
        await connection.read()
        assert connection.closed is not None
        assert (connection.closed.code, connection.closed.reason) == (1000, "bye")
        assert await far.receive_some() == b"\x8a\x04ping\x88\x05\x03\xe8bye"


def test_the_private_names_are_still_there() -> None:
    assert inspect.iscoroutinefunction(WebSocketConnection._reader_task)
    assert "_connection_proposal" in inspect.getsource(WebSocketConnection.__init__)
    assert inspect.isgenerator(Connection(SERVER)._proto._parse_more)


async def test_a_connection_that_is_released_is_freed_without_the_collector() -> None:
    gc.disable()
    try:
        async with memory() as (near, _):
            connection = TrioWebSocketConnection(near, 2**20)
            kept = weakref.ref(connection._protocol._proto)
            connection.release()
            del connection
            assert kept() is None
    finally:
        gc.enable()
    await trio.lowlevel.checkpoint()
