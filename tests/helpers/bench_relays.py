"""Relaying servers for the load generator: a right one, and one for each thing that a relay must not do."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve, unix_serve
from websockets.exceptions import ConnectionClosed

Message = str | bytes

EVERY = 40
"""A faulty relay does its wrong thing to every so-many-th message."""


@dataclass
class Room:
    """Who is in a room, and what a faulty relay remembers."""

    clients: set[ServerConnection] = field(default_factory=set)
    number: int = 0
    late: list[asyncio.Task[None]] = field(default_factory=list)

    def wrong_turn(self) -> bool:
        """Whether this message is one to be treated wrongly; counts it."""
        self.number += 1
        return self.number % EVERY == 0

    async def send(
        self, sender: ServerConnection, message: Any, *, to: Callable[..., bool] | None = None
    ) -> None:
        """Send to everybody else, or to those that ``to`` picks."""
        for client in list(self.clients):
            if to(client) if to else client is not sender:
                with contextlib.suppress(ConnectionClosed):
                    await client.send(message)


Relay = Callable[[Room, ServerConnection, Message], Awaitable[None]]


async def rightly(room: Room, sender: ServerConnection, message: Message) -> None:
    """Once, in order, to everybody else."""
    await room.send(sender, message)


async def to_everyone(room: Room, sender: ServerConnection, message: Message) -> None:
    """To the sender as well."""
    await room.send(sender, message, to=lambda client: True)


async def fragmented(room: Room, sender: ServerConnection, message: Message) -> None:
    """Rightly, but in fragments, with a ping now and then."""
    if room.wrong_turn():
        for client in list(room.clients):
            await client.ping(b"still there?")
    await room.send(sender, [message[:5], message[5:9], message[9:]])


async def dropping(room: Room, sender: ServerConnection, message: Message) -> None:
    """Without some of them."""
    if not room.wrong_turn():
        await room.send(sender, message)


async def doubling(room: Room, sender: ServerConnection, message: Message) -> None:
    """Some of them twice."""
    await room.send(sender, message)
    if room.wrong_turn():
        await room.send(sender, message)


async def reordering(room: Room, sender: ServerConnection, message: Message) -> None:
    """Some of them a little later than those that came after."""

    async def send_late() -> None:
        await asyncio.sleep(0.002)
        await room.send(sender, message)

    if room.wrong_turn():
        room.late.append(asyncio.create_task(send_late()))
    else:
        await room.send(sender, message)


async def changing(room: Room, sender: ServerConnection, message: Message) -> None:
    """Some of them with another last character."""
    if room.wrong_turn():
        assert isinstance(message, str)
        message = message[:-1] + "\N{SNOWMAN}"
    await room.send(sender, message)


async def prefixing(room: Room, sender: ServerConnection, message: Message) -> None:
    """With something before each text."""
    await room.send(sender, f"somebody\x1b says: {message}" if isinstance(message, str) else message)


async def quoting(room: Room, sender: ServerConnection, message: Message) -> None:
    """As a JSON object with something after it."""
    assert isinstance(message, str)
    await room.send(sender, json.dumps({"text": message, "from": "somebody"}))


async def hanging_up(room: Room, sender: ServerConnection, message: Message) -> None:
    """And tells a client to go away now and then."""
    await room.send(sender, message)
    if room.wrong_turn():
        await next(client for client in room.clients if client is not sender).close(1013, "too busy")


async def stalling(room: Room, sender: ServerConnection, message: Message) -> None:
    """Until it stops."""
    if not room.wrong_turn() and room.number < EVERY:
        await room.send(sender, message)


@contextlib.contextmanager
def relaying(
    relay: Relay = rightly, *, one_room: bool = False, unix: Path | None = None, **options: Any
) -> Iterator[str]:
    """
    Run a server in a thread for as long as the block lasts; gives its URL.

    ``one_room`` puts everybody in one room, whatever the path. ``unix`` is a socket to listen on instead.
    """
    urls: list[str] = []
    listening = threading.Event()
    finishers: list[Callable[[], object]] = []

    async def main() -> None:
        rooms: defaultdict[str, Room] = defaultdict(Room)

        async def handle(client: ServerConnection) -> None:
            assert client.request
            room = rooms["" if one_room else client.request.path]
            room.clients.add(client)
            try:
                async for message in client:
                    await relay(room, client, message)
            finally:
                room.clients.discard(client)

        finish = asyncio.Event()
        finishers.append(functools.partial(asyncio.get_running_loop().call_soon_threadsafe, finish.set))
        where = serve(handle, "127.0.0.1", 0, compression=None, **options)
        if unix is not None:
            where = unix_serve(handle, str(unix), compression=None, **options)
        async with where as server:
            if unix is not None:
                urls.append(f"ws+unix:{unix}:/")
            else:
                port = next(iter(server.sockets)).getsockname()[1]
                urls.append(f"{'wss' if options.get('ssl') else 'ws'}://127.0.0.1:{port}/")
            listening.set()
            await finish.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert listening.wait(5)
    try:
        yield urls[0]
    finally:
        finishers[0]()
        thread.join(5)
