"""Connections are taken from a listener many at a time."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack

import pytest
import trio
import trio.testing

from trioecho.transport.intake import AT_ONCE, Intake
from trioecho.transport.socket_stream import PlainSocket


async def test_all_that_wait_are_taken_in_a_few_goes() -> None:
    async with AsyncExitStack() as stack:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await stack.enter_async_context(listener)
        intake = Intake(listener)
        stack.callback(intake.release)
        clients = [await trio.testing.open_stream_to_socket_listener(listener) for _ in range(AT_ONCE + 3)]
        for client in clients:
            stack.push_async_callback(client.aclose)
        goes = [await intake.accept(), await intake.accept()]
        assert [len(streams) for streams in goes] == [AT_ONCE, 3]
        for number, (client, stream) in enumerate(zip(clients, [*goes[0], *goes[1]], strict=True)):
            assert isinstance(stream, PlainSocket)
            stack.push_async_callback(stream.aclose)
            await client.send_all(b"%d" % number)
            assert await stream.receive_some() == b"%d" % number
            assert stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_the_listener_is_its_owners_before_and_after() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        intake = Intake(listener)
        with trio.move_on_after(0) as scope:
            await intake.accept()
        assert scope.cancelled_caught
        intake.release()
        async with await trio.testing.open_stream_to_socket_listener(listener):
            await (await listener.accept()).aclose()


async def test_a_listener_that_is_closed_says_so(nursery: trio.Nursery) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    intake = Intake(listener)
    nursery.start_soon(listener.aclose)
    with pytest.raises(trio.ClosedResourceError):
        await intake.accept()
    with pytest.raises(trio.ClosedResourceError):
        await intake.accept()
    intake.release()


async def test_other_listeners_are_asked_for_one_at_a_time() -> None:
    class Memory(trio.abc.Listener[trio.abc.Stream]):
        async def accept(self) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return trio.testing.memory_stream_pair()[0]

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    assert len(await Intake(Memory()).accept()) == 1
