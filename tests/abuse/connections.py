"""Abuse by connecting: in great numbers, slowly, or with requests that are wrong, large or in pieces."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import trio
from helpers.raw_peer import connection, request

from abuse.target import Abuse, Drive, Target

__all__ = ["CONNECTIONS"]

WORKERS = 20

A_SECOND = 500
"""Connections a second of the row that says so."""

HOST = b"Host: localhost\r\n"

SLOW_HEAD = b"GET / HTTP/1.1\r\n" + HOST + b"X: " + 1000 * b"x"

SLOW_BODY = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\nContent-Length: 10000\r\n\r\n"

TO_POSTS = b"POST /posts HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\n"

CHUNKED = TO_POSTS + b"Transfer-Encoding: chunked\r\n\r\n"

POST = TO_POSTS + b"Content-Length: 5\r\n\r\nhello"

HUGE_HEAD = b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: %s\r\n" % (n, 900 * b"x") for n in range(100))

BAD_HEADS = [
    b"\x16\x03\x01\x02\x00" + 100 * b"\x00",
    b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\nHost: localhost\n\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    request(headers={b"Sec-WebSocket-Key": b"short"}),
    request(headers={b"Sec-WebSocket-Version": b"7"}),
    b"BREW /pot HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
]


def slow(full: int, first: bytes, rest: bytes) -> Drive:
    """Make what sends ``first`` at once, and of ``rest`` a byte a second."""

    async def member(target: Target, arrived: Callable[[], None]) -> None:
        async with target.connected() as peer:
            await peer.send(first)
            arrived()
            for byte in rest:
                await peer.send(bytes((byte,)))
                await trio.sleep(1)

    async def drive(target: Target) -> None:
        await target.crowd(full, lambda number, arrived: member(target, arrived))

    return drive


def idle(full: int) -> Drive:
    """Make what enters a room and does nothing, not even answer a ping."""

    async def member(target: Target, number: int, arrived: Callable[[], None]) -> None:
        async with target.joined(b"/idle%d" % (number % 100)) as peer:
            arrived()
            await peer.wait_gone()

    async def drive(target: Target) -> None:
        await target.crowd(full, lambda number, arrived: member(target, number, arrived))

    return drive


async def leave_together(target: Target) -> None:
    """Have 2,000 enter rooms and leave all at once, again and again."""
    count = target.count(2000)
    for turn in itertools.count():
        there = trio.Event()
        left = [count]

        async def member(number: int, left: list[int] = left, there: trio.Event = there) -> None:
            try:
                async with target.joined(b"/leave%d" % (number % 100)):
                    left[0] -= 1
                    if left[0] == 0:
                        there.set()
                    await there.wait()
            except* (OSError, trio.BrokenResourceError, AssertionError):
                left[0] -= 1

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(member, number)
        if turn == 0:
            target.ready()


async def silent(target: Target) -> None:
    """Connect and say nothing."""

    async def member(number: int, arrived: Callable[[], None]) -> None:
        async with target.connected() as peer:
            arrived()
            await peer.wait_gone()

    await target.crowd(5000, member)


def requests(head: Callable[[int], bytes], workers: int = WORKERS) -> Drive:
    """Make what connects, sends a request, reads the answer and comes again, as fast as it can."""

    async def drive(target: Target) -> None:
        numbers = itertools.count()

        async def member(number: int, arrived: Callable[[], None]) -> None:
            while True:
                async with connection(f"http://127.0.0.1:{target.port}") as stream:
                    await stream.send_all(head(next(numbers)))
                    arrived()
                    await stream.receive_some(65_536)

        await target.crowd(workers, member)

    return drive


async def five_hundred(target: Target) -> None:
    """Connect so many times a second, on time, and leave each time once let in."""

    async def come_and_go(number: int) -> None:
        try:
            async with target.joined(b"/come%d" % (number % 100)):
                pass
        except* (OSError, trio.BrokenResourceError, AssertionError):
            pass

    target.ready()
    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        for number in itertools.count():
            nursery.start_soon(come_and_go, number)
            await trio.sleep(max(0.0, began + number / target.count(A_SECOND) - time.monotonic()))


def posts(again: bytes, first: bytes = b"", workers: int = WORKERS) -> Drive:
    """Make what sends requests, or pieces of one, without ever waiting for an answer."""

    async def member(target: Target, arrived: Callable[[], None]) -> None:
        async with target.connected() as peer, trio.open_nursery() as nursery:
            nursery.start_soon(peer.wait_gone)
            await peer.send(first)
            arrived()
            await peer.send_until_refused(again)
            nursery.cancel_scope.cancel()

    async def drive(target: Target) -> None:
        await target.crowd(workers, lambda number, arrived: member(target, arrived))

    return drive


def new_room(number: int) -> bytes:
    """Return the request for a room that nobody has asked for before."""
    return request(b"/new%d" % number)


CONNECTIONS = [
    Abuse("idle", "10,000 WebSockets that do nothing", idle(10_000), ("--max-connections", "10100")),
    Abuse("silent", "5,000 connections that say nothing", silent),
    Abuse("slow-heads", "2,000 send a byte of a request head a second", slow(2000, b"", SLOW_HEAD)),
    Abuse("slow-bodies", "2,000 POST a byte a second", slow(2000, SLOW_BODY, 10_000 * b"x")),
    Abuse("connections", "500 WebSockets a second come and go", five_hundred),
    Abuse("leaving", "2,000 WebSockets that come, and leave all at once", leave_together),
    Abuse("rooms", "20 open new rooms as fast as they can", requests(new_room)),
    Abuse(
        "bad-heads",
        "20 send wrong requests as fast as they can",
        requests(lambda number: BAD_HEADS[number % len(BAD_HEADS)]),
    ),
    Abuse("huge-heads", "20 send request heads of 90 KB", requests(lambda number: HUGE_HEAD)),
    Abuse("posts", "20 POST as fast as they can", posts(300 * POST)),
    Abuse("chunks", "8 POST in chunks of one byte", posts(10_000 * b"1\r\nx\r\n", CHUNKED, 8)),
]
