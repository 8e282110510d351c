"""The streams that tests put under real parts, and a peer that reads as it is told to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio
import trio.testing

from trioecho.protocol.decoder import Decoder
from trioecho.transport.socket_stream import unlayered
from trioecho.transport.wire import Wire

Streams = tuple[trio.abc.Stream, trio.abc.Stream]

SMALL_BUFFER = 4096
"""A socket's send buffer in bytes (Linux doubles it): the kernel takes a part of nearly everything."""


@asynccontextmanager
async def closing(near: trio.abc.Stream, far: trio.abc.Stream) -> AsyncIterator[Streams]:
    """Hand out two ends, and close both afterwards, whatever happens."""
    try:
        yield near, far
    finally:
        for end in near, far:
            await trio.aclose_forcefully(end)


def sockets(buffer: int | None = None) -> AbstractAsyncContextManager[Streams]:
    """Return two connected sockets; ``buffer`` is how much the kernel takes from the first one (bytes)."""
    near, far = trio.socket.socketpair()
    if buffer is not None:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    return closing(unlayered(trio.SocketStream(near)), trio.SocketStream(far))


def small_sockets() -> AbstractAsyncContextManager[Streams]:
    """Return two connected sockets, the first of which takes a few kilobytes at a time."""
    return sockets(SMALL_BUFFER)


def lockstep() -> AbstractAsyncContextManager[Streams]:
    """Return two ends in memory; what one sends is sent when the other has read it."""
    return closing(*trio.testing.lockstep_stream_pair())


def memory() -> AbstractAsyncContextManager[Streams]:
    """Return two ends in memory, with a buffer that has no end."""
    return closing(*trio.testing.memory_stream_pair())


Connect = Callable[[], AbstractAsyncContextManager[Streams]]


async def nothing(*_: object) -> None:
    """Stand for a room that takes everything and owes nothing."""
    await trio.lowlevel.checkpoint()


class WireOwner:
    """Whom a wire belongs to, made of functions."""

    def __init__(
        self,
        publish: Callable[[list[bytes]], Awaitable[None]],
        flush: Callable[[], Awaitable[None]],
        take_turn: Callable[[], Awaitable[None]] = nothing,
    ) -> None:
        self.publish = publish
        self.flush = flush
        self.take_turn = take_turn


def open_wire(
    transport: trio.abc.Stream,
    *,
    publish: Callable[[list[bytes]], Awaitable[None]] = nothing,
    flush: Callable[[], Awaitable[None]] = nothing,
    take_turn: Callable[[], Awaitable[None]] = nothing,
    largest: int = 2**20,
    compressed: bool = False,
) -> Wire:
    """Put a wire over ``transport`` whose handshake is over."""
    decoder = Decoder(largest, compressed=compressed)
    wire = Wire(transport, decoder, WireOwner(publish, flush, take_turn))
    wire.open()
    return wire


async def read_into(data: bytearray, stream: trio.abc.ReceiveStream, sizes: Sequence[int] = ()) -> None:
    """Read to the end, in reads of ``sizes`` first (at least 1) and then as it comes."""
    for size in sizes:
        data += await stream.receive_some(size)
    async for some in stream:
        data += some
