"""Rooms as they begin and end: held open, drained in a shutdown, and after a failure of our own."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from helpers.log import LogBook
from helpers.server import kept_log
from helpers.streams import lockstep, memory
from helpers.virtual_server import served

import trioecho
from trioecho import Disconnected, Hub, Settings, ShuttingDown, TooManyRooms
from trioecho.disconnect import BUG
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.hub import registry_of
from trioecho.rooms.registry import Registry
from trioecho.rooms.subscriber import Subscriber

SMALL = {"max_pending_bytes": 1_000, "max_message_size": 1_000, "stall_share": 1}


async def test_a_room_that_is_held_outlives_its_members(nursery: trio.Nursery) -> None:
    hub = Hub(Settings(max_rooms=1), nursery)
    registry = registry_of(hub)
    with registry.hold("/news") as room:
        assert hub.rooms == {"/news": 0}
        async with hub.subscribe("/news") as subscription:
            assert await hub.publish("/news", "hello") == 1
            assert await anext(subscription) == "hello"
        assert registry.room("/news") is room and room.messages == 1
        assert await hub.publish("/news", "to nobody") == 0
        await room.flush()
        assert room.messages == 2
        with registry.hold("/news") as same:
            assert same is room
        assert hub.rooms == {"/news": 0}
        with pytest.raises(TooManyRooms), registry.hold("/other"):
            pass
    assert hub.rooms == {}
    await trio.testing.wait_all_tasks_blocked()
    assert not nursery.child_tasks, "the broadcaster is still there"


async def test_a_room_goes_on_for_its_members_when_it_is_no_longer_held(nursery: trio.Nursery) -> None:
    hub = Hub(Settings(), nursery)
    with registry_of(hub).hold("/"):
        subscribing = hub.subscribe("/")
        subscription = await subscribing.__aenter__()
    assert await hub.publish("/", "hello") == 1
    assert await anext(subscription) == "hello"
    await subscribing.__aexit__(None, None, None)
    assert hub.rooms == {}


class FaultySubscriber(Subscriber):
    """A member with a bug, which comes out when the room's broadcaster tells it that it loses messages."""

    def on_first_drop(self) -> None:
        raise RuntimeError("a bug in a member")


async def test_after_a_failure_the_room_starts_anew(nursery: trio.Nursery) -> None:
    """The application's subscription stays in its block: the room must not wait for it to be left."""
    book = LogBook()
    hub = Hub(Settings(when_slow="drop-newest", **SMALL), nursery)  # type: ignore[arg-type]
    registry = registry_of(hub)
    with kept_log(book):
        async with hub.subscribe("/") as subscription:
            faulty = FaultySubscriber(registry.settings)
            faulty.room = failing = registry.enter("/", faulty)
            for number in range(2):
                assert await hub.publish("/", f"{number} {900 * 'x'}") == 2
                await trio.testing.wait_all_tasks_blocked()
            assert faulty.why is BUG
            (failure,) = book.tracebacks
            assert "a bug in a member" in failure["traceback"]
            assert hub.rooms == {}
            async with hub.subscribe("/") as newcomer:
                assert hub.rooms == {"/": 1}
                anew = registry.room("/")
                assert anew is not None and anew.history.epoch != failing.history.epoch
                assert registry.histories.cost == 0
                assert await hub.publish("/", "hello again") == 1
                assert await anext(newcomer) == "hello again"
                with pytest.raises(Disconnected) as caught:
                    while True:
                        await anext(subscription)
                assert caught.value.why is BUG
                registry.leave(failing, faulty)
                assert hub.rooms == {"/": 1}
            assert not await failing.publish(Batch(Origin.APPLICATION, frames.encode("late"), 1))
    assert hub.rooms == {}


async def test_publishers_who_wait_when_a_room_fails_are_told_that_nobody_was_reached(
    nursery: trio.Nursery,
) -> None:
    hub = Hub(Settings(when_slow="drop-newest", **SMALL), nursery)  # type: ignore[arg-type]
    faulty = FaultySubscriber(registry_of(hub).settings)
    faulty.room = registry_of(hub).enter("/", faulty)
    counts: list[int] = []

    async def publish(number: int) -> None:
        counts.append(await hub.publish("/", f"{number} {900 * 'x'}"))

    assert await hub.publish("/", 900 * "x") == 1
    await trio.testing.wait_all_tasks_blocked()
    async with trio.open_nursery() as publishing:
        for number in range(10):
            publishing.start_soon(publish, number)
    assert faulty.why is BUG
    assert counts.count(0) > 5
    registry_of(hub).leave(faulty.room, faulty)


async def test_what_is_accepted_in_a_shutdown_is_delivered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Many publish while a slow client holds up the shutdown; those who are not told no are heard."""
    accepted: list[str] = []
    heard: list[str | bytes] = []
    rejected = 0
    async with served(lockstep, shutdown_timeout=4, **SMALL) as (server, join):  # type: ignore[arg-type]
        await join("/")  # and never reads

        async def publish(name: int) -> None:
            nonlocal rejected
            for number in range(1_000):
                message = f"{name} {number} {300 * '.'}"
                try:
                    await server.hub.publish("/", message)
                except ShuttingDown:
                    rejected += 1
                    return
                accepted.append(message)

        async def listen() -> None:
            async with server.hub.subscribe("/") as subscription:
                async for message in subscription:
                    heard.append(message)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.testing.wait_all_tasks_blocked()
            for name in range(10):
                nursery.start_soon(publish, name)
            await trio.testing.wait_all_tasks_blocked()
            assert accepted, "nothing was published"
            await server.shutdown()
        assert rejected == 10
        assert server.counters.messages_late == 10
        assert sorted(heard) == sorted(accepted)


async def test_after_a_shutdown_nothing_can_be_published_or_subscribed_to() -> None:
    async with served(memory) as (server, _):
        await server.shutdown()
        for room in ("/", "/nowhere"):
            with pytest.raises(ShuttingDown, match="shutting down"):
                await server.hub.publish(room, "hello")
            with pytest.raises(ShuttingDown, match="shutting down"):
                async with server.hub.subscribe(room):
                    pass


async def test_who_enters_while_rooms_drain_finds_a_room_that_takes_nothing(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(), nursery)
    await registry.drain(trio.current_time() + 1)
    member = Subscriber(registry.settings)
    member.room = registry.enter("/late", member)
    assert not await member.room.publish(Batch(member, frames.encode("too late"), 1))
    assert registry.counters.messages_late == 1
    registry.leave(member.room, member)


async def test_a_publisher_is_told_that_the_room_has_ended_while_it_waited(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(lockstep, stall_limit=5.0, **SMALL) as (server, join):  # type: ignore[arg-type]
        await join("/")
        counts: list[int] = []

        async def publish() -> None:
            counts.append(await server.hub.publish("/", 900 * "x"))

        async with trio.open_nursery() as publishers:
            for _ in range(20):
                publishers.start_soon(publish)
        # The stuck client was the only one: what waited to be taken when it was disconnected reached nobody.
        assert counts.count(0) > 10 and set(counts) == {0, 1}


@pytest.mark.parametrize("name", ["", "news", "/" + 255 * "x", "/\ud800"])
async def test_a_wrong_name_of_a_room_is_an_error_for_all_who_name_it(name: str) -> None:
    async with served(memory) as (server, _):
        with pytest.raises(ValueError, match="a room's name"):
            await server.hub.publish(name, "hello")
        with pytest.raises(ValueError, match="a room's name"):
            async with server.hub.subscribe(name):
                pass
        assert server.hub.rooms == {}


def test_the_applications_classes_show_what_is_for_the_application() -> None:
    def public(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    hub = {"members", "publish", "publish_nowait", "rooms", "statistics", "subscribe"}
    assert public(trioecho.Hub) == hub
    member = {"address", "id", "identity", "is_connected", "room", "send", "send_nowait"}
    assert public(trioecho.Member) == public(trioecho.Conversation) == member
    assert public(trioecho.Subscription) == {"dropped", "missed", "place"}
