"""Abuse by not reading, by making the server keep things, and by asking it much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from helpers.raw_peer import BINARY, PING, PONG, TEXT, Peer, frame

from abuse.connections import HOST
from abuse.target import Abuse, Drive, Target

__all__ = ["READERS"]

SMALL_BUFFER = 4096
"""What the kernel keeps for those who do not read (bytes), so that it is the server that has to."""

MIB = 2**20

BUSY_MESSAGE = frame(BINARY, bytes(2048))
BUSY_PAUSE = 0.001
"""A busy room: a message of 2 KiB each millisecond, 2 MB/s."""

TRICKLE = 16
"""How much a trickler reads in a second (bytes)."""

LONGER_THAN_ALLOWED = 8.0
"""Seconds; a client may hold up its room for 5."""

CONTROLS = MIB * b"\x01"
"""Six times as large as JSON."""

POLLERS = 20
IDLE = 5000


async def talk(target: Target, room: bytes) -> None:
    """Publish in a room, on time as far as it lets one; whoever is slow there makes that wait."""
    async with target.joined(room) as peer:
        while True:
            await peer.send(BUSY_MESSAGE)
            await trio.sleep(BUSY_PAUSE)


def readers(full: int, read: Callable[[Peer], Awaitable[None]]) -> Drive:
    """Make a busy room in which so many read as ``read`` does."""

    async def member(target: Target, arrived: Callable[[], None]) -> None:
        async with target.joined(b"/busy", buffer=SMALL_BUFFER) as peer:
            arrived()
            await read(peer)

    async def drive(target: Target) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, target, b"/busy")
            await target.crowd(full, lambda number, arrived: member(target, arrived))

    return drive


async def trickle(peer: Peer) -> None:
    """Read a little a second."""
    while await peer.stream.receive_some(TRICKLE):  # noqa: ASYNC110 - no event: time passes
        await trio.sleep(1)


async def never(peer: Peer) -> None:
    """Read nothing, and come back when one has surely been cut."""
    await trio.sleep(LONGER_THAN_ALLOWED)


async def unfinished(target: Target) -> None:
    """Have the server keep 1 MiB of an unfinished message for each of 2,000."""
    most = frame(BINARY, bytes(MIB))[:-1]

    async def member(number: int, arrived: Callable[[], None]) -> None:
        async with target.joined(b"/unfinished%d" % (number % 100)) as peer:
            await peer.send(most)
            arrived()
            await peer.wait_gone()

    await target.crowd(2000, member)


def polled(path: bytes, accept: bytes) -> Drive:
    """Make twenty that ask for ``path`` as fast as they can, beside 5,000 that do nothing in one room."""
    asking = b"GET %s HTTP/1.1\r\n%sAccept: %s\r\n\r\n" % (path, HOST, accept)

    async def poll(target: Target, arrived: Callable[[], None]) -> None:
        async with target.connected() as peer:
            while True:
                await peer.send(asking)
                head = await peer.read_until(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 "), head
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                await peer.read(length)
                arrived()

    async def drive(target: Target) -> None:
        async def member(number: int, arrived: Callable[[], None]) -> None:
            if number < POLLERS:
                await poll(target, arrived)
            async with target.joined(b"/crowd") as peer:
                arrived()
                await peer.wait_gone()

        await target.crowd(POLLERS + IDLE, member)

    return drive


async def remembered(target: Target, message: bytes) -> None:
    """Say one thing in a room, so that it is what there is to read of it."""
    async with target.joined(b"/past") as peer:
        await peer.send(frame(TEXT, message) + frame(PING))
        while (await peer.read_frame())[0] != PONG:
            pass


def past(full: int, message: bytes, *, read: bool) -> Drive:
    """Make what asks for a room's past as lines of JSON, and reads them or nothing at all."""
    asking = b"GET /past HTTP/1.1\r\n" + HOST + b"Accept: application/x-ndjson\r\nConnection: close\r\n\r\n"

    async def member(target: Target, arrived: Callable[[], None]) -> None:
        async with target.connected(buffer=None if read else SMALL_BUFFER) as peer:
            await peer.send(asking)
            if read:
                await peer.read_to_end()
            arrived()
            if not read:
                await trio.sleep(LONGER_THAN_ALLOWED)

    async def drive(target: Target) -> None:
        await remembered(target, message)
        await target.crowd(full, lambda number, arrived: member(target, arrived))

    return drive


def listeners(full: int, message: bytes) -> Drive:
    """Make those who listen to events in a room, and one who says ``message`` there again and again."""
    listening = b"GET /events HTTP/1.1\r\n" + HOST + b"Accept: text/event-stream\r\n\r\n"

    async def member(target: Target, number: int, arrived: Callable[[], None]) -> None:
        if number == full:
            async with target.joined(b"/events") as peer:
                arrived()
                while True:
                    await peer.send(frame(TEXT, message))
        async with target.connected() as peer:
            await peer.send(listening)
            arrived()
            await peer.read_to_end()

    async def drive(target: Target) -> None:
        await target.crowd(full + 1, lambda number, arrived: member(target, number, arrived))

    return drive


READERS = [
    Abuse("tricklers", "3,000 in a busy room read 16 bytes a second", readers(3000, trickle)),
    Abuse("never-read", "2,000 in a busy room never read", readers(2000, never)),
    Abuse("unfinished", "2,000 with 1 MiB of an unfinished message", unfinished),
    Abuse("newlines", "10 listen to events of 1 MiB of newlines", listeners(10, MIB * b"\n")),
    Abuse("past", "20 read a message of 1 MiB of control characters as JSON", past(20, CONTROLS, read=True)),
    Abuse("unread", "500 ask for that and read nothing", past(500, CONTROLS, read=False)),
    Abuse("metrics", "20 poll `/metrics` beside 5,000 idle ones", polled(b"/metrics", b"*/*")),
    Abuse("status", "20 poll `/status` beside 5,000 idle ones", polled(b"/status", b"application/json")),
    Abuse("stats", "20 poll the stats of a room of 5,000", polled(b"/crowd", b"application/json")),
]
