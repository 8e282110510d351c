"""The plain socket is a stream like trio's own, by trio's own test of what a stream is."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing
from helpers.streams import memory, small_sockets

from trioecho.transport.socket_stream import PlainSocket, unlayered

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="plain sockets are for POSIX")


async def pair() -> tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]:
    """Make two connected plain sockets."""
    near, far = map(unlayered, map(trio.SocketStream, trio.socket.socketpair()))
    assert isinstance(near, PlainSocket)
    assert isinstance(far, PlainSocket)
    return near, far


async def clogged_pair() -> tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream]:
    """Make two that take nothing more."""
    near, far = await pair()
    for end in near, far:
        assert isinstance(end, PlainSocket)
        with pytest.raises(BlockingIOError):
            while True:
                end.send(bytes(65_536))
    return near, far


async def test_it_is_a_stream_as_trio_wants_it() -> None:
    await trio.testing.check_two_way_stream(pair, clogged_pair)


async def test_after_its_end_has_been_sent_it_can_still_receive() -> None:
    near, far = await pair()
    async with near, far:
        await near.send_all(b"the last")
        for _ in range(2):
            await near.send_eof()
        with pytest.raises(trio.ClosedResourceError, match="the end has been sent"):
            await near.send_all(b"one more")
        assert await far.receive_some() == b"the last"
        assert await far.receive_some() == b""
        await far.send_all(b"an answer")
        assert await near.receive_some() == b"an answer"


async def test_the_end_can_be_sent_while_somebody_waits_to_send_who_then_fails() -> None:
    near, far = await clogged_pair()
    async with near, far:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
                    await near.send_all(b"one more")

            nursery.start_soon(send)
            await trio.testing.wait_all_tasks_blocked()
            await near.send_eof()
            await near.aclose()


async def test_a_connection_that_was_reset_is_reported_as_such() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        far = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        async with unlayered(await listener.accept()) as near:
            # Closing with a linger of nothing is a reset.
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            await far.aclose()
            with pytest.raises(trio.BrokenResourceError, match=r"the connection is gone: .*reset"):
                await near.receive_some()
            with pytest.raises(trio.BrokenResourceError):
                await near.send_all(b"too late")


async def test_what_is_no_plain_socket_stays_as_it_is() -> None:
    async with memory() as (near, _):
        assert unlayered(near) is near
    async with small_sockets() as (near, _):
        assert unlayered(near) is near


async def test_taking_it_over_leaves_the_old_stream_closed_and_the_socket_open() -> None:
    ours, theirs = trio.socket.socketpair()
    number = ours.fileno()
    layered = trio.SocketStream(ours)
    async with unlayered(layered) as near, trio.SocketStream(theirs) as far:
        assert layered.socket.fileno() == -1
        assert isinstance(near, PlainSocket)
        assert near.socket.fileno() == number
        await far.send_all(b"still here")
        assert await near.receive_some() == b"still here"
