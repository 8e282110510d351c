"""The log has a line for every client with a name, and so many a second for those who may be anybody."""

from __future__ import annotations

import trio
from helpers.raw_peer import connected, request
from helpers.server import Serving, serving

from trioecho.line_limiter import LINES_PER_SECOND

MANY = LINES_PER_SECOND + 20
BEARER = {b"Authorization": b"Bearer 9f3c2a7e51d04b68a1c5"}


async def come_and_go(server: Serving, headers: dict[bytes, bytes | None]) -> None:
    """Join and leave, all within a second."""
    for _ in range(MANY):
        async with connected(server.url) as peer:
            await peer.shake_hands(request(headers=headers))


async def test_clients_without_a_name_cannot_flood_the_log() -> None:
    async with serving() as server:
        began = trio.current_time()
        await come_and_go(server, {})
        seconds = int(trio.current_time() - began) + 1
        await server.server.shutdown()
        for event in ("connected", "disconnected"):
            lines = len(server.find(event))
            left_out = sum([line["count"] for line in server.find("log-lines-left-out", kind=event)])
            assert lines <= LINES_PER_SECOND * seconds and lines + left_out == MANY


async def test_every_client_with_a_name_is_logged() -> None:
    async with serving(token={"ada": "9f3c2a7e51d04b68a1c5"}) as server:
        await come_and_go(server, {**BEARER})
        await server.server.shutdown()
        assert len(server.find("connected", name="ada")) == len(server.find("disconnected")) == MANY
