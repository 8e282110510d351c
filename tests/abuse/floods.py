"""Floods over WebSockets that are open: whatever can be sent in great numbers."""

from __future__ import annotations

from collections.abc import Callable

import trio
from helpers.bombs import empty_blocks, zeros
from helpers.raw_peer import BINARY, CONTINUATION, PING, PONG, TEXT, Peer, frame

from abuse.target import Abuse, Drive, Target

__all__ = ["FLOODS"]

CHUNK = 64 * 1024
"""About how much is sent at a time (bytes)."""

FLOODERS = 20

MIB = 2**20

DRIBBLE = 0.5
"""Seconds from one byte of an unfinished message to the next."""


def own_room(number: int) -> bytes:
    """Return the name of a room for one."""
    return b"/flood%d" % number


def many(frames: bytes) -> bytes:
    """Return about a chunk of them."""
    return frames * max(1, CHUNK // len(frames))


async def read_all(peer: Peer) -> None:
    """Read whatever comes until the connection ends."""
    while await peer.stream.receive_some(CHUNK):
        pass
    raise trio.BrokenResourceError("the server has hung up")


def flood(again: bytes, first: bytes = b"", *, room: Callable[[int], bytes] = own_room) -> Drive:
    """Make what sends ``first`` and then ``again`` for ever on twenty connections, and reads what comes."""

    async def member(target: Target, number: int, arrived: Callable[[], None]) -> None:
        async with target.joined(room(number)) as peer, trio.open_nursery() as nursery:
            nursery.start_soon(read_all, peer)
            await peer.send(first)
            arrived()
            while True:
                await peer.send(again)

    async def drive(target: Target) -> None:
        await target.crowd(FLOODERS, lambda number, arrived: member(target, number, arrived))

    return drive


def slowly(data: bytes, pause: float, first: bytes = b"") -> Drive:
    """Make what sends ``first``, and then ``data`` again and again, each byte in a segment of its own."""

    async def member(target: Target, number: int, arrived: Callable[[], None]) -> None:
        async with target.joined(own_room(number)) as peer, trio.open_nursery() as nursery:
            nursery.start_soon(read_all, peer)
            await peer.send(first)
            arrived()
            while True:
                for byte in data:
                    await peer.send(bytes((byte,)))
                    await trio.sleep(pause)

    async def drive(target: Target) -> None:
        await target.crowd(FLOODERS, lambda number, arrived: member(target, number, arrived))

    return drive


def own_pair(number: int) -> bytes:
    """A room for two of them."""
    return b"/pair%d" % (number // 2)


EMPTY = frame(TEXT, b"")
TINY = frame(BINARY, b"x")
EMPTY_FRAGMENT = frame(CONTINUATION, b"", final=False)
FRAGMENT = frame(CONTINUATION, b"x", final=False)
BEGINNING = frame(TEXT, b"", final=False)

SPLIT_CHARACTER = (
    frame(TEXT, b"\xf0", final=False)
    + frame(CONTINUATION, b"\x9f", final=False)
    + frame(CONTINUATION, b"\x98", final=False)
    + frame(CONTINUATION, b"\x80")
)
"""A message of one character of four bytes, each in a fragment of its own."""

COMPRESSED = 0x40
"""The bit of a frame that says so (RFC 7692, 6.1)."""

OFFER = {b"Sec-WebSocket-Extensions": b"permessage-deflate; client_max_window_bits"}


def bombs(payload: bytes) -> Drive:
    """Make what sends compressed messages, as many as are read at once, and waits until they were seen to."""
    data = many(frame(BINARY | COMPRESSED, payload)) + frame(PING)

    async def member(target: Target, number: int, arrived: Callable[[], None]) -> None:
        async with target.joined(own_room(number), headers=OFFER) as peer:
            arrived()
            while True:
                await peer.send(data)
                while (await peer.read_frame())[0] != PONG:
                    pass

    async def drive(target: Target) -> None:
        await target.crowd(FLOODERS, lambda number, arrived: member(target, number, arrived))

    return drive


FLOODS = [
    Abuse("empty-messages", "20 send empty messages, each in a room of its own", flood(many(EMPTY))),
    Abuse(
        "empty-together",
        "20 send empty messages to each other",
        flood(many(EMPTY), room=lambda number: b"/flood"),
    ),
    Abuse("pairs", "20 in rooms of two send messages one by one", flood(TINY, room=own_pair)),
    Abuse("tiny-messages", "20 send messages of one byte", flood(many(TINY))),
    Abuse("pings", "20 send pings", flood(many(frame(PING)))),
    Abuse("empty-fragments", "20 send empty fragments", flood(many(EMPTY_FRAGMENT), BEGINNING)),
    Abuse("byte-fragments", "20 send fragments of one byte", flood(many(FRAGMENT), BEGINNING)),
    Abuse("split-utf8", "20 send text that is split within characters", flood(many(SPLIT_CHARACTER))),
    Abuse("segments", "20 send messages in TCP segments of one byte", slowly(frame(TEXT, b"hello"), 0)),
    Abuse("large-messages", "20 send messages of 1 MiB", flood(frame(BINARY, bytes(MIB)))),
    Abuse("empty-blocks", "20 send 1 MiB of empty blocks of deflate", bombs(empty_blocks(MIB - 8192))),
    Abuse("zeros", "20 send compressed messages of 1 MiB of zeros", bombs(zeros(MIB))),
    Abuse("bombs", "20 send compressed messages that would become 64 MiB", bombs(zeros(64 * MIB))),
    Abuse(
        "dribble",
        "20 send a byte of an unfinished message in half a second",
        slowly(bytes(1), DRIBBLE, frame(BINARY, bytes(MIB))[:100]),
    ),
]
