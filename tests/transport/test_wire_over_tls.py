"""A wire over TLS keeps frames whole, also when a write is cancelled between two records."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trustme

from trioecho.protocol.decoder import Decoder
from trioecho.transport.tls_socket import TLSSocket
from trioecho.transport.wire import Wire


class Nobody:
    """An owner of a wire that is only written to."""

    async def publish(self, frames: list[bytes]) -> None: ...

    async def take_turn(self) -> None: ...

    async def flush(self) -> None: ...


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Wire, TLSSocket]]:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    server = TLSSocket(ours, context)
    client = TLSSocket(theirs, trusting, server_side=False, server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        nursery.start_soon(client.do_handshake)
    wire = Wire(server, Decoder(1024), Nobody())
    wire.open()
    try:
        yield wire, client
    finally:
        await trio.aclose_forcefully(server)
        await trio.aclose_forcefully(client)


@pytest.mark.parametrize("size", [65_533, 65_534, 65_535, 65_536, 65_537, 16_383, 100])
async def test_a_write_that_is_cancelled_is_finished_by_the_next(size: int) -> None:
    """65,535 and 1 are where four records end within the first byte of the second frame."""
    async with pair() as (wire, client):
        first, second, last = b"a" * size, b"b" * 70_000, b"c" * 10
        with trio.move_on_after(0.02) as cancelled:
            await wire.write([first, second])
        assert cancelled.cancelled_caught
        got = bytearray()

        async def read() -> None:
            while not got.endswith(last):
                got.extend(await client.receive_some())

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await wire.write([last])
        # What was never begun is the caller's to write again; what was begun is whole.
        assert bytes(got) in (first + last, first + second + last)
