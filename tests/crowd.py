"""
A crowd: clients of different libraries in several rooms, who all talk, and check every message they get.

Each client's messages are planned before, so a receiver knows what must come next from each sender: a
message that is lost, doubled, changed, out of order, from another room or its own fails at once. A message
names its room, sender and number; those too short for that are sent by each room's first client only.

A client is at most ``WINDOW`` messages ahead of every other in its room, so that all of them keep up.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import trio
import websockets
import websockets.asyncio.client
import websockets.sync.client
from peer import BINARY, CLOSE, PING, PONG, TEXT, close, connected, frame, joined
from trio_websocket import ConnectionClosed, wrap_client_stream

__all__ = ["Crowd"]

Message = str | bytes

KIB, MIB = 2**10, 2**20

LABEL = 12
"""How many characters of a message say where it comes from."""

WINDOW = 4

EDGES = [LABEL, 125, 126, 127, 65_535, 65_536, 65_537, MIB]
"""Sizes at which a frame's header changes, and the largest that is allowed (bytes)."""


def planned(room: int, sender: int, count: int) -> list[Message]:
    """Plan one client's messages: text and binary, from nothing to 1 MiB, most of them small."""
    chance = random.Random(room * 1000 + sender)
    messages: list[Message] = []
    for number in range(count):
        size = chance.randint(LABEL, KIB)
        if (rare := chance.random()) > 0.85:
            size = chance.randint(KIB, 16 * KIB)
        if rare > 0.97:
            size = chance.choice(EDGES) if rare > 0.99 else chance.randint(16 * KIB, 128 * KIB)
        if sender == 0 and number % 4 == 0:
            size = chance.randint(0, LABEL - 1)
        label = f"{room:03}{sender:03}{number:06}"[:size]
        fill = size - len(label)
        if chance.random() < 0.5:
            messages.append(label + chance.choice("aé")[: fill and 1] * (fill // 2) + "z" * (fill % 2))
        else:
            messages.append(label.encode() + chance.randbytes(1) * fill)
    return messages


class Part:
    """
    One client's part: what it sends and when, and what it must get.

    Attributes:
        order: what it got, as sender and number.
        code: the close code it got in the end.
        longest_wait: its longest wait for a message while it had to get more (seconds).

    """

    def __init__(self, plans: list[list[Message]], room: int, me: int, told: Callable[[str], None]) -> None:
        self.room = room
        self.me = me
        self.order: list[tuple[int, int]] = []
        self.code = 0
        self.longest_wait = 0.0
        self._plans = plans
        self._sent = 0
        self._got = [0] * len(plans)
        self._wanted = sum(len(plan) for sender, plan in enumerate(plans) if sender != me)
        self._told = told
        self._since = 0.0

    def begin(self) -> None:
        """Everybody is there."""
        self._since = time.monotonic()

    def end(self, code: int) -> None:
        """Take the end of the connection, which must be the server's shutdown."""
        assert code == 1001, f"client {self.me} of room {self.room} was closed with {code}"
        self.code = code

    def to_send(self) -> Message | None:
        """Return the next message if it may be sent now."""
        behind = min(got for sender, got in enumerate(self._got) if sender != self.me)
        if self._sent == len(self._plans[self.me]) or self._sent >= behind + WINDOW:
            return None
        self._sent += 1
        return self._plans[self.me][self._sent - 1]

    def take(self, message: Message) -> None:
        """Check a message that came."""
        sender = 0
        if len(message) >= LABEL:
            label = message[:LABEL] if isinstance(message, str) else message[:LABEL].decode()
            assert int(label[:3]) == self.room, "a message of another room"
            sender = int(label[3:6])
        assert sender != self.me, "a message of its own"
        number = self._got[sender]
        assert number < len(self._plans[sender]), "a message too many"
        expected = self._plans[sender][number]
        assert type(message) is type(expected) and message == expected, f"not message {number} of {sender}"
        self._got[sender] += 1
        self.order.append((sender, number))
        now = time.monotonic()
        self.longest_wait = max(self.longest_wait, now - self._since)
        self._since = now
        if len(self.order) == self._wanted // 2:
            self._told("half")
        if len(self.order) == self._wanted:
            self._told("all")


@dataclass
class Stage:
    """Where the crowd meets: the server, and the sign that everybody is there."""

    url: str
    go: threading.Event
    go_trio: trio.Event

    def room(self, part: Part) -> str:
        """Return the address of a part's room."""
        return f"{self.url}room{part.room}"


async def with_raw_bytes(stage: Stage, part: Part) -> None:
    async with joined(stage.url, b"/room%d" % part.room) as peer:
        await stage.go_trio.wait()
        part.begin()
        while not part.code:
            if (message := part.to_send()) is not None:
                text = isinstance(message, str)
                payload = message.encode() if isinstance(message, str) else message
                await peer.send(frame(TEXT if text else BINARY, payload))
                continue
            opcode, payload = await peer.read_frame()
            if opcode == PING:
                await peer.send(frame(PONG, payload))
            elif opcode == CLOSE:
                part.end(int.from_bytes(payload[:2], "big"))
                await peer.send(close(part.code))
            else:
                part.take(payload.decode() if opcode == TEXT else payload)
        assert await peer.read_to_end() == b""


async def with_trio_websocket(stage: Stage, part: Part) -> None:
    # On a stream of ours, because the library leaves its own open when the server has closed.
    async with connected(stage.url) as peer, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, peer.stream, "test", f"/room{part.room}")
        await stage.go_trio.wait()
        part.begin()
        open_ = True
        while True:
            try:
                if open_ and (message := part.to_send()) is not None:
                    await websocket.send_message(message)
                    continue
            except ConnectionClosed:
                open_ = False  # there may be messages from before the end
            try:
                part.take(await websocket.get_message())
            except ConnectionClosed as closed:
                part.end(closed.reason.code if closed.reason else 1006)
                return


async def with_websockets_asyncio(stage: Stage, part: Part) -> None:
    async with websockets.asyncio.client.connect(stage.room(part), compression=None) as websocket:
        await asyncio.to_thread(stage.go.wait)
        part.begin()
        open_ = True
        while True:
            try:
                if open_ and (message := part.to_send()) is not None:
                    await websocket.send(message)
                    continue
            except websockets.ConnectionClosed:
                open_ = False
            try:
                part.take(await websocket.recv())
            except websockets.ConnectionClosed as closed:
                part.end(closed.rcvd.code if closed.rcvd else 1006)
                return


def with_websockets_threads(stage: Stage, part: Part) -> None:
    with websockets.sync.client.connect(stage.room(part), compression=None) as websocket:
        stage.go.wait()
        part.begin()
        open_ = True
        while True:
            try:
                if open_ and (message := part.to_send()) is not None:
                    websocket.send(message)
                    continue
            except websockets.ConnectionClosed:
                open_ = False
            try:
                part.take(websocket.recv())
            except websockets.ConnectionClosed as closed:
                part.end(closed.rcvd.code if closed.rcvd else 1006)
                return


class Crowd:
    """So many clients in so many rooms, of all kinds in each, and so many messages between them."""

    def __init__(self, *, rooms: int, clients: int, messages: int) -> None:
        token = trio.lowlevel.current_trio_token()
        self.parts: list[Part] = []
        self.told = {"half": 0, "all": 0}
        self._more = trio.Event()

        def told(what: str) -> None:
            token.run_sync_soon(self._note, what)

        there = clients // rooms
        for room in range(rooms):
            plans = [planned(room, sender, messages // clients) for sender in range(there)]
            self.parts += [Part(plans, room, sender, told) for sender in range(there)]

    async def talk(self, url: str, go: trio.Event) -> None:
        """Connect them all, and once ``go`` is set let them talk until the server has closed them all."""
        stage = Stage(url, threading.Event(), go)

        async def wait_for_go() -> None:
            await go.wait()
            stage.go.set()

        in_thread = partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(len(self.parts)))
        by_asyncio: list[Part] = []

        async def talk_by_asyncio() -> None:
            async with asyncio.TaskGroup() as group:
                for part in by_asyncio:
                    group.create_task(with_websockets_asyncio(stage, part))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_go)
            for number, part in enumerate(self.parts):
                kind = number % 4
                if kind == 0:
                    nursery.start_soon(with_raw_bytes, stage, part)
                elif kind == 1:
                    nursery.start_soon(with_trio_websocket, stage, part)
                elif kind == 2:
                    nursery.start_soon(in_thread, with_websockets_threads, stage, part)
                else:
                    by_asyncio.append(part)
            nursery.start_soon(in_thread, lambda: asyncio.run(talk_by_asyncio()))

    async def wait_for(self, what: str, count: int) -> None:
        """Wait until so many have got ``"half"`` or ``"all"`` of what they are to get."""
        while self.told[what] < count:
            await self._more.wait()

    def check_orders(self) -> None:
        """Check that all in a room got what they have in common in the same order, and none got more."""
        for one in self.parts:
            for other in self.parts:
                if one.room == other.room and one.me < other.me:
                    pair = (one.me, other.me)
                    assert [step for step in one.order if step[0] not in pair] == [
                        step for step in other.order if step[0] not in pair
                    ]

    def _note(self, what: str) -> None:
        self.told[what] += 1
        self._more.set()
        self._more = trio.Event()
