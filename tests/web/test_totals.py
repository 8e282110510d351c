"""What all connections have to say together: in slices, and whoever leaves meanwhile is not among them."""

from __future__ import annotations

import gc

import trio
from helpers.http_client import fetch
from helpers.passes import passes
from helpers.raw_peer import joined
from helpers.server import serving

from trioecho.disconnect import Disconnect
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.session import Session
from trioecho.transport.peer import Peer
from trioecho.web.kept import SLICE, Slices
from trioecho.web.totals import Totals, totals_of


class Client(BaseConnection):
    """A connection that has had one message, and says when it is looked at."""

    messages_in = 1
    looks = 0

    def __init__(self) -> None:
        super().__init__(trio.testing.memory_stream_pair()[0], Peer("a"))

    def disconnect(self, why: Disconnect) -> None:
        """Do nothing."""

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What it is."""
        Client.looks += 1
        return "websocket"


async def test_all_that_is_asked_of_each_is_asked_in_slices(nursery: trio.Nursery) -> None:
    connections: set[BaseConnection] = {Client() for _ in range(10 * SLICE)}
    found: list[Totals] = []

    async def add_up() -> None:
        found.append(await totals_of(connections, Slices()))

    nursery.start_soon(add_up)
    Client.looks = 0
    assert max(await passes(lambda: bool(found), lambda: Client.looks)) <= 2 * SLICE
    assert found[0].kinds == {"websocket": 10 * SLICE} and found[0].messages_in == 10 * SLICE


async def test_who_leaves_while_others_are_looked_at_is_not_counted() -> None:
    connections: set[BaseConnection] = {Client() for _ in range(2 * SLICE)}
    gone = set(list(connections)[::2])

    class Leaving(Slices):
        async def each(self, things, take):  # type: ignore[no-untyped-def]
            await super().each(things, take)
            connections.difference_update(gone)

    totals = await totals_of(connections, Leaving())
    assert totals.kinds["websocket"] == totals.messages_in == SLICE


async def test_who_asked_for_metrics_keeps_no_client_that_has_left() -> None:
    def sessions() -> int:
        gc.collect()
        return sum([isinstance(found, Session) for found in gc.get_objects()])

    async with serving() as server:
        before = sessions()
        async with joined(server.url, b"/room", stuck=True):
            while b"trioecho_pending_bytes 0.0" in (page := (await fetch(server.url, "/metrics")).body):
                await server.server.hub.publish("/room", bytes(100_000))
            assert b"trioecho_pending_bytes" in page and sessions() == before + 1
        await server.event("disconnected")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert sessions() == before
