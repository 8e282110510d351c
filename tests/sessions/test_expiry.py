"""Rights that end together end in slices, and nothing is kept of those who have left before."""

from __future__ import annotations

import time
from typing import ClassVar
from weakref import ref

import trio
import trio.testing
from helpers.passes import passes

from trioecho.disconnect import EXPIRED, Disconnect
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.expiry import CLIENTS_A_TURN, SPARE, Expiry
from trioecho.transport.peer import Peer


class Client(BaseConnection):
    """One whose end is written down."""

    kind: ClassVar = "websocket"
    why: Disconnect | None = None

    def __init__(self) -> None:
        super().__init__(trio.testing.memory_stream_pair()[0], Peer("memory"))

    def disconnect(self, why: Disconnect) -> None:
        self.why = why


async def test_those_whose_rights_end_together_are_disconnected_in_slices(nursery: trio.Nursery) -> None:
    expiry, clients = Expiry(), [Client() for _ in range(10 * CLIENTS_A_TURN)]
    for client in clients:
        expiry.add(client, time.time() - 1)
    late = Client()
    expiry.add(late, time.time() + 1000)
    nursery.start_soon(expiry.run)

    def ended() -> int:
        return len([client for client in clients if client.why is EXPIRED])

    grown = await passes(lambda: ended() == len(clients), ended)
    assert max(grown) <= 2 * CLIENTS_A_TURN and len(grown) >= 10
    assert late.why is None


async def test_nothing_is_kept_of_clients_that_have_left(nursery: trio.Nursery) -> None:
    expiry, left = Expiry(), []
    nursery.start_soon(expiry.run)
    for _ in range(3 * SPARE):
        client = Client()
        expiry.add(client, time.time() + 1000)
        await trio.lowlevel.checkpoint()
        expiry.remove(client)
        left.append(ref(client))
        del client
    assert [kept for kept in left if kept() is not None] == []
    assert len(expiry._queue) <= SPARE + 1
