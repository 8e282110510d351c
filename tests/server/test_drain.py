"""A drain: clients are closed over a time, while the rooms go on and newcomers are turned away."""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing
from helpers.http_client import asking
from helpers.passes import passes
from helpers.raw_peer import Peer as RawPeer
from helpers.raw_peer import close, connected, joined, request
from helpers.server import serving
from helpers.streams import memory
from helpers.traffic import Seen
from helpers.virtual_server import Peer, served

from trioecho.disconnect import SHUTDOWN, Disconnect
from trioecho.server.drain import CLIENTS_A_TURN, SPARE, disconnect_all
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.websocket import WebSocketSession
from trioecho.transport.peer import Peer as Address


async def test_clients_are_closed_evenly_over_the_drain_with_1012(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(memory, drain=10) as (server, join), trio.open_nursery() as nursery:
        closed: list[float] = []

        async def stay(peer: Peer) -> None:
            assert await peer.rest() == [("close", 1012)]
            closed.append(trio.current_time() - began)

        for _ in range(20):
            nursery.start_soon(stay, await join("/"))
        began = trio.current_time()
        await server.shutdown()
        await trio.testing.wait_all_tasks_blocked()
        assert closed == pytest.approx([number / 2 for number in range(20)], abs=0.01)
        assert server.counters.disconnected == {"drained": 20}


async def test_nothing_is_kept_of_those_who_leave_during_a_drain(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def sessions() -> int:
        return len([found for found in gc.get_objects() if isinstance(found, WebSocketSession)])

    async with served(memory, drain=100) as (server, join), trio.open_nursery() as nursery:
        stays = await join("/")
        peers = [await join("/") for _ in range(50)]
        gc.collect()
        before = sessions()
        nursery.start_soon(server.shutdown)
        await trio.sleep(1)
        for peer in peers:
            await peer.close()
        await trio.testing.wait_all_tasks_blocked()
        assert server.hub.rooms == {"/": 1}
        await trio.sleep(10)
        assert sessions() <= before - 50 + 2 + SPARE
        assert await stays.rest() == [("close", 1012)]
        nursery.cancel_scope.cancel()


async def test_all_are_disconnected_in_slices_and_those_who_come_meanwhile_too(
    nursery: trio.Nursery,
) -> None:
    told: list[Disconnect] = []
    connections: set[BaseConnection] = set()

    class Client(BaseConnection):
        def disconnect(self, why: Disconnect) -> None:
            told.append(why)

    def come() -> None:
        connections.add(Client(trio.testing.memory_stream_pair()[0], Address("memory")))

    for _ in range(200):
        come()
    nursery.start_soon(disconnect_all, connections, SHUTDOWN)
    grown = await passes(lambda: len(told) >= 40, lambda: len(told))
    come()
    grown += await passes(lambda: len(told) == 201, lambda: len(told))
    assert max(grown) <= 2 * CLIENTS_A_TURN and len(grown) >= 200 / CLIENTS_A_TURN
    assert set(told) == {SHUTDOWN}


async def test_a_drain_of_nobody_takes_no_time(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory, drain=10) as (server, _):
        began = trio.current_time()
        await server.shutdown()
        assert trio.current_time() == began


async def test_meanwhile_rooms_go_on_and_newcomers_and_readyz_get_503() -> None:
    async with (
        serving(drain=1) as server,
        joined(server.url) as one,
        joined(server.url) as other,
        asking(server.url) as kept,
        trio.open_nursery() as nursery,
    ):
        assert (await kept.ask("/readyz")).status == 200
        nursery.start_soon(server.server.shutdown)
        await server.event("draining")
        async with connected(server.url) as late:
            await late.send(request())
            answer = await late.read_until(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Retry-After: " in answer
        async with asking(server.url) as probe:
            assert (await probe.ask("/readyz")).status == 503
        codes: list[int] = []

        async def stay(peer: RawPeer) -> None:
            codes.append(await peer.read_close())
            await peer.send(close(1012))

        nursery.start_soon(stay, one)
        nursery.start_soon(stay, other)
        await server.event("stopped")
        assert codes == [1012, 1012]


async def test_a_message_sent_during_the_drain_reaches_who_is_still_there() -> None:
    async with served(memory, drain=10) as (server, join), trio.open_nursery() as nursery:
        peers = [await join("/") for _ in range(4)]
        nursery.start_soon(server.shutdown)
        await trio.testing.wait_all_tasks_blocked(0.01)
        # One is closed at once, the others later; of those, one talks and the rest hear it.
        assert server.hub.rooms == {"/": 3}
        heard: list[list[Seen]] = [[] for _ in peers]
        for peer, book in zip(peers, heard, strict=True):
            nursery.start_soon(peer.listen, book)
        await trio.testing.wait_all_tasks_blocked(0.01)
        talker = next(peer for peer, book in zip(peers, heard, strict=True) if not book)
        await talker.send("still here")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(map(str, heard)) == sorted(
            map(str, [[("close", 1012)], [], [("text", "still here")], [("text", "still here")]])
        )
        nursery.cancel_scope.cancel()
