"""
Cancel anything anywhere: nothing is left behind.

What is left is counted: trio's tasks before and after, and every client must see the end.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing
from helpers.streams import sockets
from helpers.virtual_server import Peer, served

import trioecho
from trioecho import Server


async def joined(server: Server, room: str = "/") -> Peer:
    """Join over TCP, as anybody would."""
    port = int(server.url.rpartition(":")[2].strip("/"))
    peer = Peer(await trio.open_tcp_stream("127.0.0.1", port))
    await peer.shake_hands(room)
    return peer


async def nothing_yet(server: Server) -> list[trio.abc.Stream]:
    return []


async def connected_only(server: Server) -> list[trio.abc.Stream]:
    port = int(server.url.rpartition(":")[2].strip("/"))
    return [await trio.open_tcp_stream("127.0.0.1", port)]


async def half_a_handshake(server: Server) -> list[trio.abc.Stream]:
    (stream,) = await connected_only(server)
    await stream.send_all(b"GET / HTTP/1.1\r\nHos")
    return [stream]


async def refused(server: Server) -> list[trio.abc.Stream]:
    (stream,) = await connected_only(server)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return [stream]


async def in_rooms(server: Server) -> list[trio.abc.Stream]:
    peers = [await joined(server, room) for room in ("/", "/", "/news")]
    await peers[0].send("hello")
    return [peer.stream for peer in peers]


async def with_a_backlog_and_publishers_who_wait(server: Server) -> list[trio.abc.Stream]:
    _, publisher = peers = [await joined(server), await joined(server)]
    with trio.move_on_after(1):
        while True:
            await publisher.send(1_000_000 * "x")
    return [peer.stream for peer in peers]


async def shutting_down(server: Server) -> list[trio.abc.Stream]:
    streams = await with_a_backlog_and_publishers_who_wait(server)
    with trio.CancelScope() as scope:
        scope.cancel()
        await server.shutdown()
    await trio.testing.wait_all_tasks_blocked()
    return streams


@pytest.mark.parametrize(
    "stage",
    [
        nothing_yet,
        connected_only,
        half_a_handshake,
        refused,
        in_rooms,
        with_a_backlog_and_publishers_who_wait,
        shutting_down,
    ],
)
async def test_cancelled_at_any_stage_it_leaves_nothing_behind(
    stage: Callable[[Server], Awaitable[list[trio.abc.Stream]]], autojump_clock: trio.testing.MockClock
) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=0))
        streams = await stage(server)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == before
    with trio.fail_after(2):
        for stream in streams:
            await reads_to_the_end(stream)
            await stream.aclose()


async def reads_to_the_end(stream: trio.abc.Stream) -> None:
    try:
        while await stream.receive_some(1_000_000):
            pass
    except trio.BrokenResourceError:
        pass  # cut with unread bytes: a reset, which is an end too


async def test_when_the_clients_are_gone_no_task_is_left_of_them() -> None:
    async with served(sockets) as (server, join):
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        polite, rude = await join("/one"), await join("/two")
        assert trio.lowlevel.current_statistics().tasks_living > before
        await polite.close()
        assert await polite.rest() == [("close", 1000)]
        await rude.stream.aclose()
        while server.hub.rooms:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert server.counters.disconnected == {"client-closed": 1, "lost": 1}


async def test_an_error_of_the_application_ends_the_server_with_it() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trioecho.serve, port=0))
            raise KeyError("the application's own")
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
