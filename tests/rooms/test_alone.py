"""A message that comes alone is fanned out by who brings it, and everything else by the broadcaster."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from helpers.streams import memory, sockets
from helpers.traffic import Seen
from helpers.virtual_server import served

from trioecho.rooms.alone import LARGEST
from trioecho.rooms.batch import Batch
from trioecho.rooms.history import History
from trioecho.rooms.room import Room
from trioecho.settings import Audience


class Steps(trio.abc.Instrument):
    """Counts how often a broadcaster goes on."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += task.name.startswith("trioecho room")


@pytest.mark.parametrize(
    ("members", "message", "alone"),
    [
        pytest.param(2, "hello", True, id="between-two"),
        pytest.param(2, "hello" * LARGEST, False, id="a-large-one"),
        pytest.param(3, "hello", False, id="among-three"),
    ],
)
async def test_the_broadcaster_sleeps_on_where_nothing_is_to_join(
    members: int, message: str, alone: bool
) -> None:
    async with served(sockets) as (_, join):
        peers = [await join("/") for _ in range(members)]
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        try:
            for number in range(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(peers[0].send, f"{number}{message}")
                    for peer in peers[1:]:
                        assert await peer.next() == ("text", f"{number}{message}")
        finally:
            trio.lowlevel.remove_instrument(steps)
    assert (steps.count == 0) == alone


async def test_several_messages_of_one_read_are_the_broadcasters() -> None:
    async with served(sockets) as (_, join):
        ada, bo = await join("/"), await join("/")
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        try:
            await ada.send("one", "two")
            assert [await bo.next(), await bo.next()] == [("text", "one"), ("text", "two")]
        finally:
            trio.lowlevel.remove_instrument(steps)
    assert steps.count


@pytest.mark.parametrize("connect", [memory, sockets])
@pytest.mark.parametrize("to", ["others", "everyone", "sender"])
async def test_two_who_talk_at_once_and_the_application_lose_nothing(to: Audience, connect: Any) -> None:
    count, names = 50, ["Ada", "Bo"]
    async with served(connect, to=to) as (server, join), trio.open_nursery() as nursery:
        peers = {name: await join("/") for name in names}
        heard: dict[str, list[Seen]] = {name: [] for name in names}
        for name, peer in peers.items():
            nursery.start_soon(peer.listen, heard[name])

        async def talk(name: str) -> None:
            for number in range(count):
                if name == "application":
                    await server.hub.publish("/", f"{name} {number}")
                else:
                    await peers[name].send(f"{name} {number}")
                for _ in range(number % 4):
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as talking:
            for name in [*names, "application"]:
                talking.start_soon(talk, name)
        for peer in peers.values():
            await peer.close()
    for name in names:
        for other in [*names, "application"]:
            said = [text for kind, text in heard[name] if kind == "text" and str(text).startswith(other)]
            due = other == "application" or to == "everyone" or (other == name) == (to == "sender")
            assert said == ([f"{other} {number}" for number in range(count)] if due else [])
    if to == "everyone":
        orders = [[seen for seen in heard[name] if seen[0] == "text"] for name in names]
        assert orders[0] == orders[1]


async def test_what_one_does_not_read_is_kept_for_it() -> None:
    """A client that stops reading falls behind, and from then on it is the broadcaster that waits for it."""
    async with served(lambda: sockets(4096)) as (_, join):
        ada, bo = await join("/"), await join("/")
        texts = [f"{number:06}" * 2000 for number in range(60)]
        async with trio.open_nursery() as nursery:

            async def talk() -> None:
                for text in texts:
                    await ada.send(text)
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(talk)
            for _ in range(500):
                await trio.lowlevel.checkpoint()
            assert [await bo.next() for _ in texts] == [("text", text) for text in texts]


async def test_if_it_fails_the_room_fails_as_with_the_broadcaster(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    async with served(sockets) as (_, join):
        ada, bo = await join("/"), await join("/")
        await ada.send("hello")
        assert await bo.next() == ("text", "hello")
        with monkeypatch.context() as patch:
            patch.setattr(History, "add", fail)
            await ada.send("hello?")
            for peer in ada, bo:
                kind, code = await peer.next()
                assert (kind, code) == ("close", 1011)
                await peer.close()
        assert any("the broadcaster of room '/' failed" in record.message for record in caplog.records)
        # The next ones find another room.
        cy, di = await join("/"), await join("/")
        await cy.send("hello again")
        assert await di.next() == ("text", "hello again")


async def test_who_is_cancelled_while_it_publishes_alone_has_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish = Room.publish

    async def publish_cancelled(self: Room, batch: Batch) -> bool:
        with trio.CancelScope() as scope:
            scope.cancel()
            return await publish(self, batch)
        raise AssertionError("there was a checkpoint")

    async with served(sockets) as (_, join):
        ada, bo = await join("/"), await join("/")
        monkeypatch.setattr(Room, "publish", publish_cancelled)
        await ada.send("hello")
        assert await bo.next() == ("text", "hello")
