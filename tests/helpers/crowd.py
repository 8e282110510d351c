"""A crowd: clients of several libraries in several rooms, who all talk and check what they get."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from functools import partial

import trio
import websockets
import websockets.asyncio.client
import websockets.sync.client
from helpers.crowd_member import Part, planned
from helpers.raw_peer import BINARY, CLOSE, PING, PONG, TEXT, close, connected, frame, joined
from trio_websocket import ConnectionClosed, wrap_client_stream

__all__ = ["Crowd"]


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
        websocket = await wrap_client_stream(nursery, peer.stream, "localhost", f"/room{part.room}")
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
