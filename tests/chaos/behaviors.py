"""What the chaotic do, each of them once and then something else: a function for each, by chance."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import trio
from helpers.raw_peer import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
    Peer,
    close,
    connected,
    connection,
    frame,
    joined,
    request,
)

from chaos.loyal import ROOM

__all__ = ["BEHAVIORS", "Behavior"]

Behavior = Callable[[str, random.Random], Awaitable[None]]

LARGEST = 100_000
"""The largest message (bytes); in the room of the loyal, a hundredth of that."""

HTTP = b"%s /http%d HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n%s\r\n"


def room(chance: random.Random) -> bytes:
    """Return a room: each third time that of the loyal."""
    return f"/{ROOM}".encode() if chance.random() < 1 / 3 else b"/chaos%d" % chance.randrange(20)


def messages(chance: random.Random, where: bytes) -> bytes:
    """Return a few messages, whole and in fragments, of any size."""
    largest = LARGEST // 100 if where == f"/{ROOM}".encode() else LARGEST
    data = b""
    for _ in range(chance.randrange(1, 6)):
        payload = chance.randbytes(chance.randrange(largest))
        cut = chance.randrange(len(payload) + 1)
        data += chance.choice(
            [
                frame(BINARY, payload),
                frame(TEXT, b"x" * len(payload)),
                frame(BINARY, payload[:cut], final=False) + frame(CONTINUATION, payload[cut:]),
            ]
        )
    return data


async def a_while(chance: random.Random) -> None:
    """Let some time pass."""
    await trio.sleep(chance.uniform(0.01, 2))


async def read_for_a_while(peer: Peer, chance: random.Random) -> None:
    """Read whatever comes."""
    with trio.move_on_after(chance.uniform(0.01, 2)):
        await peer.wait_gone()


async def polite(url: str, chance: random.Random) -> None:
    """Come, talk, listen and close."""
    where = room(chance)
    async with joined(url, where) as peer:
        await peer.send(messages(chance, where))
        await read_for_a_while(peer, chance)
        await peer.send(close(chance.choice([1000, 1001, 4000])))
        await peer.wait_gone()


async def stall(url: str, chance: random.Random) -> None:
    """Read nothing, and talk meanwhile."""
    where = room(chance)
    async with joined(url, where, stuck=True) as peer:
        await peer.send(messages(chance, where))
        await trio.sleep(chance.uniform(1, 10))
        peer.vanish(reset=chance.random() < 0.5)


async def trickle(url: str, chance: random.Random) -> None:
    """Read and write a byte now and then."""
    where = room(chance)
    async with joined(url, where, stuck=True) as peer:
        for byte in messages(chance, where)[: chance.randrange(1, 30)]:
            await peer.send(bytes((byte,)))
            with trio.move_on_after(0.01):
                await peer.stream.receive_some(1)
            await trio.sleep(chance.uniform(0.01, 0.3))


async def reset(url: str, chance: random.Random) -> None:
    """Leave with a reset, in the middle of a frame as it may be."""
    where = room(chance)
    async with joined(url, where) as peer:
        data = messages(chance, where)
        await peer.send(data[: chance.randrange(len(data))])
        await read_for_a_while(peer, chance)
        peer.vanish(reset=True)


async def garbage(url: str, chance: random.Random) -> None:
    """Send what is no frame, or a frame that may not be."""
    where = room(chance)
    async with joined(url, where) as peer:
        await peer.send(messages(chance, where))
        await peer.send(
            chance.choice(
                [
                    chance.randbytes(chance.randrange(1, 5000)),
                    frame(chance.choice([3, 7, 0xB, 0xF]), b"x"),
                    frame(TEXT, b"\xff"),
                    frame(TEXT, b"x", masked=False),
                    frame(PING, b"x" * 126),
                    frame(CONTINUATION, b"x"),
                    close(chance.choice([0, 999, 1005, 1006, 5000])),
                ]
            )
        )
        await read_for_a_while(peer, chance)


async def bad_head(url: str, chance: random.Random) -> None:
    """Send what is no request, or not all of one."""
    head = request(room(chance))
    async with connected(url) as peer:
        await peer.send(
            chance.choice(
                [
                    chance.randbytes(chance.randrange(1, 2000)),
                    head[: chance.randrange(len(head))],
                    request(headers={b"Host": b"\xff\xfe"}),
                    request(headers={b"X": b"x" * 20_000}),
                    head.replace(b"\r\n", b"\n"),
                ]
            )
        )
        await read_for_a_while(peer, chance)


async def half_close(url: str, chance: random.Random) -> None:
    """End one's own side of the connection, and read on."""
    where = room(chance)
    async with joined(url, where) as peer:
        await peer.send(messages(chance, where))
        await peer.stream.send_eof()
        await read_for_a_while(peer, chance)


async def early(url: str, chance: random.Random) -> None:
    """Talk before the handshake is answered, and leave as it comes."""
    where = room(chance)
    async with connected(url) as peer:
        await peer.send(request(where) + messages(chance, where))
        if chance.random() < 0.5:
            peer.vanish(reset=chance.random() < 0.5)
        else:
            await read_for_a_while(peer, chance)


async def pings(url: str, chance: random.Random) -> None:
    """Send pings without reading the answers."""
    async with joined(url, room(chance), stuck=True) as peer:
        with trio.move_on_after(1):
            await peer.send(frame(PING, b"x" * 125) * chance.randrange(1, 1000))
        await a_while(chance)


async def http(url: str, chance: random.Random) -> None:
    """Ask by HTTP: listen to events, post, poll; and leave at any moment."""
    head, where = chance.choice(
        [
            ((b"GET", b"text/event-stream", b""), 0),
            ((b"GET", b"application/json", b""), 0),
            ((b"POST", b"*/*", b"Content-Length: 1000\r\n"), 1000),
            ((b"POST", b"*/*", b"Content-Length: 1000\r\n"), 10),
            ((b"POST", b"*/*", b"Transfer-Encoding: chunked\r\n"), 0),
        ]
    )
    method, accept, more = head
    async with connection(url) as stream:
        asked = HTTP % (method, chance.randrange(20), accept, more)
        await stream.send_all(asked + b"x" * where)
        with trio.move_on_after(chance.uniform(0.01, 2)):
            while await stream.receive_some():
                pass


BEHAVIORS: list[Behavior] = [
    polite,
    stall,
    trickle,
    reset,
    garbage,
    bad_head,
    half_close,
    early,
    pings,
    http,
]
