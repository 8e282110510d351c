"""The application as a subscriber: it gets what a client gets, and is as slow as a client may be."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from helpers.streams import memory
from helpers.virtual_server import served

from trioecho import Disconnected, Hub, Settings, TooManyRooms


async def test_a_subscription_gets_what_a_client_gets() -> None:
    async with served(memory, prefix="said: ") as (server, join):
        async with server.hub.subscribe("/") as subscription:
            assert server.hub.rooms == {"/": 1}
            peer = await join("/")
            await peer.send("hello", b"\x00", "")
            await trio.testing.wait_all_tasks_blocked()
            assert await server.hub.publish("/", "from here") == 2
            got = [await anext(subscription) for _ in range(4)]
            assert got == ["said: hello", b"\x00", "said: ", "from here"]
        await trio.testing.wait_all_tasks_blocked()
        assert server.hub.rooms == {"/": 1}


async def test_the_room_of_a_subscription_ends_with_its_block() -> None:
    async with served() as (server, _):
        with pytest.raises(RuntimeError, match="the application's own"):
            async with server.hub.subscribe("/"):
                raise RuntimeError("the application's own")
        assert server.hub.rooms == {}


async def test_a_subscription_that_waits_loses_no_message_when_cancelled() -> None:
    async with served() as (server, _), server.hub.subscribe("/") as subscription:
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(subscription)
        for number in range(3):
            await server.hub.publish("/", str(number))
        await trio.testing.wait_all_tasks_blocked()
        assert await anext(subscription) == "0"
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(subscription)
        assert [await anext(subscription) for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("when_slow", "gets"),
    [("drop-newest", ["0", "1", "2"]), ("drop-oldest", ["7", "8", "9"])],
)
async def test_a_slow_subscription_drops_as_a_client_does_and_counts(when_slow: str, gets: list[str]) -> None:
    options = {"when_slow": when_slow, "max_pending_bytes": 3 * (100 + 64), "max_message_size": 100}
    async with (
        served(**options) as (server, _),  # type: ignore[arg-type]
        server.hub.subscribe("/") as subscription,
    ):
        for number in range(10):
            await server.hub.publish("/", f"{number}{95 * '.'}")
            await trio.testing.wait_all_tasks_blocked()
        assert [str(await anext(subscription)).strip(".") for _ in range(3)] == gets
        assert subscription.dropped == 7


async def test_a_slow_subscription_is_disconnected_where_a_client_would_be(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for when_slow, why in (("disconnect", "full"), ("wait", "slow")):
        options = {"when_slow": when_slow, "max_pending_bytes": 300, "max_message_size": 100}
        async with (
            served(**options) as (server, _),  # type: ignore[arg-type]
            server.hub.subscribe("/") as subscription,
        ):
            for _ in range(10):
                await server.hub.publish("/", 95 * ".")
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(6)  # the stall limit is 5
            with pytest.raises(Disconnected) as caught:
                await anext(subscription)
            assert caught.value.why.name == why


async def test_subscribing_needs_a_rooms_name_and_room_for_it() -> None:
    async with served(max_rooms=1) as (server, _):
        for name in ("", "news", "/" + 255 * "x"):
            with pytest.raises(ValueError, match="a room's name"):
                async with server.hub.subscribe(name):
                    pass
        async with server.hub.subscribe("/" + 254 * "x"):
            with pytest.raises(TooManyRooms):
                async with server.hub.subscribe("/"):
                    pass


async def test_a_hub_stands_alone_with_a_nursery(nursery: trio.Nursery) -> None:
    hub = Hub(Settings(), nursery)
    async with hub.subscribe("/") as subscription:
        assert await hub.publish("/", "hello") == 1
        assert await anext(subscription) == "hello"
    assert hub.rooms == {}


async def test_a_subscription_goes_on_after_a_place() -> None:
    async with served(history=5) as (server, _):
        async with server.hub.subscribe("/") as subscription:
            for number in range(3):
                await server.hub.publish("/", str(number))
            assert [await anext(subscription) for _ in range(2)] == ["0", "1"]
            place = subscription.place
        async with server.hub.subscribe("/", after=place) as subscription:
            assert await anext(subscription) == "2"
            assert subscription.missed == 0
            await server.hub.publish("/", "3")
            assert await anext(subscription) == "3"
            assert subscription.place == place.replace("-2", "-4")
        for number in range(4, 100):
            await server.hub.publish("/", str(number))
        async with server.hub.subscribe("/", after=place) as subscription:
            first = int(await anext(subscription))
            assert subscription.missed == first - 2 > 0
            assert subscription.place == place.replace("-2", f"-{first + 1}")
        async with server.hub.subscribe("/", after="zzzzzzzz-2") as subscription:
            assert int(await anext(subscription)) == first
            assert subscription.missed is None
        with pytest.raises(ValueError, match="a place is 8 letters"):
            async with server.hub.subscribe("/", after="1042"):
                pass
        assert server.hub.rooms == {}


async def test_a_shutdown_ends_a_subscription_that_is_still_in_the_past() -> None:
    bounds = {"max_pending_bytes": 2**16, "max_message_size": 2**16}
    options = {"history": 1000, "history_bytes": 2**24, **bounds}
    async with served(**options) as (server, _):  # type: ignore[arg-type]
        async with server.hub.subscribe("/") as subscription:
            place = subscription.place
        for number in range(100):
            await server.hub.publish("/", f"{number} ".ljust(10_000, "."))
        async with trio.open_nursery() as nursery, server.hub.subscribe("/", after=place) as subscription:
            heard = [await anext(subscription)]
            nursery.start_soon(server.shutdown)
            await trio.testing.wait_all_tasks_blocked()
            heard += [message async for message in subscription]
            assert [int(str(text).split()[0]) for text in heard] == list(range(100))
            assert subscription.missed == 0
