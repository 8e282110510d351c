"""An idle client costs little: what only its handshake needed is gone."""

from __future__ import annotations

import gc

import h11
from helpers.streams import sockets
from helpers.virtual_server import served
from wsproto.handshake import H11Handshake

COUNT = 20


def alive(kind: type) -> int:
    return sum([type(found) is kind for found in gc.get_objects()])


async def test_no_client_keeps_its_handshake() -> None:
    async with served(sockets) as (_, join):
        await join("/")
        gc.collect()
        before = alive(h11.Connection), alive(H11Handshake)
        peers = [await join("/") for _ in range(COUNT)]
        gc.collect()
        assert (alive(h11.Connection), alive(H11Handshake)) == before
        # And they are clients all the same, also for what is wsproto's to answer.
        await peers[0].send("hello")
        assert await peers[1].next() == ("text", "hello")
        await peers[1].stream.send_all(b"\x89\x82\0\0\0\0hi")
        assert await peers[1].next() == ("pong", b"hi")
