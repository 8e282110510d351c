"""A response that is not read holds little, is counted as held, and is given up in time."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from helpers.http_client import fetch, head_of
from helpers.passes import passes
from helpers.server import Serving, serving

import trioecho
from trioecho.http.exchange import RESPONSE_TIMEOUT
from trioecho.rooms.hub import registry_of
from trioecho.testing import MemoryListener
from trioecho.web.recent import PIECE_BYTES

MIB = 2**20
LINES = {"Accept": "application/x-ndjson"}


def held(server: Serving) -> int:
    return registry_of(server.server.hub).memory.held


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await trio.testing.wait_all_tasks_blocked(0.001)


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[tuple[Serving, MemoryListener]]:
    """A server with two listeners: TCP, and streams of which nothing is taken that is not read."""
    listener = MemoryListener()
    listeners = [*await trio.open_tcp_listeners(0, host="127.0.0.1"), listener]
    async with serving(listeners=listeners, **options) as server:
        yield server, listener


async def ask(listener: MemoryListener, path: str = "/room", encoding: str = "identity") -> trio.abc.Stream:
    """Ask for something, and read nothing of the answer."""
    near, far = trio.testing.lockstep_stream_pair()
    await listener.connect(near)
    await far.send_all(head_of(path, headers={**LINES, "Accept-Encoding": encoding}))
    return far


async def remember(server: Serving, message: str | bytes, count: int = 1) -> None:
    for _ in range(count):
        await server.server.hub.publish("/room", message)


@pytest.mark.parametrize(
    "message", [1000 * "x", 900_000 * "\n", 100_000 * "\x01", 900_000 * b"x"], ids=lambda each: len(each)
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_of_recent_messages_only_the_piece_is_held_that_is_being_sent(
    message: str | bytes, encoding: str
) -> None:
    async with served(history_bytes=8 * MIB) as (server, listener):
        await remember(server, message, max(1, 2 * MIB // len(message)))
        there = [await ask(listener, encoding=encoding) for _ in range(20)]
        await trio.testing.wait_all_tasks_blocked()
        assert held(server) <= 20 * 6.1 * PIECE_BYTES
        assert held(server) > 0 or encoding == "gzip"  # a piece may be too small to be counted
        for peer in there:
            await peer.aclose()
        await until(lambda: held(server) == 0)


async def test_recent_messages_are_the_same_in_pieces() -> None:
    """Cut anywhere, also within characters and what base64 takes together."""
    text = "".join([chr(code) for code in range(1, 0x2FF)] + ["€\U0001f600\x01"] * 30_000)
    binary = bytes(range(256)) * 300
    sent: list[str | bytes] = [text, "", binary, b"", "é" * 20_000, *map(str, range(500)), binary[1:]]
    async with serving(history=1000, history_bytes=8 * MIB) as server:
        for each in sent:
            await remember(server, each)
        heard: list[dict[str, str]] = []
        place = ""
        while True:
            answer = await fetch(server.url, f"/room{place}", headers=LINES)
            if not answer.body:
                break
            heard += [json.loads(line) for line in answer.text.split("\n")[:-1]]
            place = f"?after={answer.headers['trioecho-place']}"
        assert [line["data"] for line in heard if "data" in line] == [
            each for each in sent if isinstance(each, str)
        ]
        assert len(heard) == len(sent)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_recent_messages_are_made_in_turn(encoding: str) -> None:
    """What is costly as JSON is no exception: each pass makes a piece of one response."""
    async with serving(history_bytes=8 * MIB) as server, trio.open_nursery() as nursery:
        await remember(server, 800_000 * "\x01")
        done = 0

        async def ask() -> None:
            nonlocal done
            answer = await fetch(server.url, "/room", headers={**LINES, "Accept-Encoding": encoding})
            body = gzip.decompress(answer.body) if encoding == "gzip" else answer.body
            assert len(body) > 6 * 800_000
            done += 1

        for _ in range(3):
            nursery.start_soon(ask)
        grown = await passes(lambda: done == 3, lambda: done)
        assert len(grown) >= 3 * 800_000 / PIECE_BYTES


async def test_a_client_that_is_too_slow_for_what_the_room_remembers_is_cut() -> None:
    async with served(history_bytes=8 * MIB) as (server, listener):
        await remember(server, 6_000 * "x", 150)
        peer = await ask(listener)
        await trio.testing.wait_all_tasks_blocked()
        history = registry_of(server.server.hub).histories.get("/room")
        assert history is not None
        history.clear()
        received = b""
        while data := await peer.receive_some():
            received += data
        assert received.startswith(b"HTTP/1.1 200") and not received.endswith(b"\r\n0\r\n\r\n")
        await server.event("refused", why="forgotten")


@pytest.mark.parametrize("path", ["/large", "/room"])
async def test_of_those_who_do_not_read_their_response_the_most_behind_go(path: str) -> None:
    large = trioecho.Response(200, bytes(MIB))

    async def respond(request: trioecho.Request) -> trioecho.Response:
        await trio.lowlevel.checkpoint()
        return large

    limit = 500_000 if path == "/room" else 20 * MIB
    async with served(
        http_handlers={"/large": respond}, max_memory=limit, max_message_size=100_000, history_bytes=8 * MIB
    ) as (server, listener):
        await remember(server, 90_000 * "\x01", 20)
        for _ in range(30):
            await ask(listener, path)
        line = await server.event("over-memory")
        assert line["limit"] == limit < line["held"]
        await server.event("refused", why="over-memory")
        await until(lambda: held(server) <= limit)
        assert 1 <= server.server.counters.refused["over-memory"] < 30
        assert (await fetch(server.url, "/healthz")).status == 200


async def test_a_response_that_is_not_read_is_given_up_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    listener = MemoryListener()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, listeners=[listener], history_bytes=8 * MIB))
        for _ in range(20):
            await server.hub.publish("/room", 90_000 * "\x01")
        for _ in range(3):
            await ask(listener)
        await trio.sleep(RESPONSE_TIMEOUT - 1)
        assert registry_of(server.hub).memory.held > 0
        await trio.sleep(2)
        assert registry_of(server.hub).memory.held == 0
        assert server.counters.refused["response-timeout"] == 3
        nursery.cancel_scope.cancel()
