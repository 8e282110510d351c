"""A hub of its own: several doors to it, what it publishes to whom, and its end."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from helpers.http_client import fetch
from helpers.server import serving
from helpers.streams import memory
from helpers.virtual_server import Peer, served

import trioecho
from trioecho import HubOptions, Member, OptionError, Settings, ShuttingDown, open_hub, serve
from trioecho.options import declared
from trioecho.testing import MemoryListener


def test_the_options_of_a_hub_are_some_of_a_servers() -> None:
    assert set(HubOptions.__annotations__) < set(declared(Settings))


async def test_what_is_no_option_of_a_hub_is_refused_on_either_side() -> None:
    with pytest.raises(OptionError, match=r"^page is no option of a hub"):
        async with open_hub(page=False):  # type: ignore[call-arg]
            pass
    with pytest.raises(OptionError, match=r"^history must be"):
        async with open_hub(history=-1):
            pass
    async with open_hub() as hub:
        with pytest.raises(OptionError, match=r"^history is decided by the hub"):
            await serve(hub=hub, history=1)


async def test_a_hub_needs_no_server() -> None:
    async with open_hub(history=10) as hub:
        await hub.publish("/news", "before anybody came")
        async with hub.subscribe("/news") as news:
            assert await hub.publish("/news", "hello") == 1
            assert hub.publish_nowait("/news", b"at once") == 1
            assert [await anext(news), await anext(news)] == ["hello", b"at once"]
            assert hub.rooms == {"/news": 1}
            assert hub.members("/news") == hub.members("/nowhere") == ()


async def test_an_exception_of_the_block_comes_out_as_itself() -> None:
    with pytest.raises(LookupError) as caught:
        async with open_hub():
            raise LookupError("just so")
    assert caught.value.__cause__ is None


async def test_a_bare_hub_forgets_what_is_old(autojump_clock: trio.testing.MockClock) -> None:
    async with open_hub(history_age=5) as hub:
        await hub.publish("/", 1000 * "x")
        assert hub.statistics().history_bytes > 1000
        await trio.sleep(11)
        assert hub.statistics().history_bytes == 0


async def test_leaving_delivers_what_was_taken_and_then_takes_no_more() -> None:
    heard: list[object] = []

    async def listen() -> None:
        async with hub.subscribe("/") as subscription:
            joined.set()
            async for message in subscription:
                heard.append(message)

    joined = trio.Event()
    async with trio.open_nursery() as nursery:
        async with open_hub() as hub:
            nursery.start_soon(listen)
            await joined.wait()
            for number in range(100):
                await hub.publish("/", str(number))
    assert heard == [str(number) for number in range(100)]
    for publish in (hub.publish_nowait, hub.publish):
        with pytest.raises(ShuttingDown):
            if (sent := publish("/", "late")) and not isinstance(sent, int):
                await sent
    with pytest.raises(ShuttingDown):
        async with hub.subscribe("/"):
            pass


async def test_two_servers_share_the_rooms_and_one_leaves_the_other_alone() -> None:
    async with open_hub(to="everyone") as hub, trio.open_nursery() as nursery:
        doors, servers = [MemoryListener(), MemoryListener()], []
        for door in doors:
            servers.append(await nursery.start(partial(serve, hub=hub, listeners=[door], ping_interval=0)))
        peers = []
        for door in doors:
            near, far = trio.testing.memory_stream_pair()
            await door.connect(near)
            peers.append(Peer(far))
            await peers[-1].shake_hands("/")
        assert len(hub.members("/")) == 2
        await peers[0].send("hello")
        assert [await peer.next() for peer in peers] == 2 * [("text", "hello")]
        # One server goes: its client is told, what it said arrives, and the other's stays.
        await peers[0].send("last words")
        assert [await peer.next() for peer in peers] == 2 * [("text", "last words")]
        async with trio.open_nursery() as going:
            going.start_soon(servers[0].shutdown)
            assert await peers[0].next() == ("close", 1001)
            await peers[0].close()
        assert hub.rooms == {"/": 1}
        assert await hub.publish("/", "still here") == 1
        assert await peers[1].next() == ("text", "still here")
        nursery.cancel_scope.cancel()


async def test_a_hub_that_ends_disconnects_the_clients_of_its_servers() -> None:
    async with trio.open_nursery() as nursery:
        door = MemoryListener()
        async with open_hub() as hub:
            await nursery.start(partial(serve, hub=hub, listeners=[door], ping_interval=0))
            near, far = trio.testing.memory_stream_pair()
            await door.connect(near)
            peer = Peer(far)
            await peer.shake_hands("/")
        assert await peer.next() == ("close", 1001)
        near, far = trio.testing.memory_stream_pair()
        await door.connect(near)
        with pytest.raises(AssertionError, match="503"):
            await Peer(far).shake_hands("/")
        nursery.cancel_scope.cancel()


async def test_memory_is_bounded_over_all_servers_of_a_hub(autojump_clock: trio.testing.MockClock) -> None:
    """Each would free it; one does, and goes on when the first server has gone."""
    options: HubOptions = {"max_memory": 50_000, "max_message_size": 10_000, "when_slow": "drop-newest"}
    async with open_hub(**options) as hub, trio.open_nursery() as nursery:
        first = await nursery.start(partial(serve, hub=hub, listeners=[MemoryListener()], ping_interval=0))
        second = await nursery.start(partial(serve, hub=hub, listeners=[MemoryListener()], ping_interval=0))
        for server in (first, second):
            async with hub.subscribe("/") as stuck:
                for _ in range(10):
                    hub.publish_nowait("/", 9_000 * "x")
                    await trio.sleep(0.1)
                with pytest.raises(trioecho.Disconnected, match="over-memory"):
                    await anext(stuck)
            await server.shutdown()


# Publishing to all but some.


@pytest.mark.parametrize("to", ["others", "everyone", "sender"])
@pytest.mark.parametrize("together", [False, True])
async def test_excluded_members_get_all_but_what_is_kept_from_them(to: Any, together: bool) -> None:
    async with served(memory, to=to) as (server, join):
        peers = [await join() for _ in range(3)]
        ann, bob, cy = server.hub.members("/")
        counts = [
            server.hub.publish_nowait("/", "for all"),
            server.hub.publish_nowait("/", "not for Ann", exclude=ann),
        ]
        if not together:
            await trio.testing.wait_all_tasks_blocked()
        await peers[2].send("Cy says")
        counts += [
            await server.hub.publish("/", "for Cy alone", exclude=[ann, bob]),
            await server.hub.publish("/", "for nobody", exclude=(ann, bob, cy)),
            await server.hub.publish("/", "end"),
        ]
        assert counts == [3, 2, 1, 0, 3]
        heard: list[set[object]] = []
        for peer in peers:
            heard.append(set())
            while (said := (await peer.next())[1]) != "end":
                heard[-1].add(said)
        if not together:
            await trio.testing.wait_all_tasks_blocked()
        said_by_cy = {
            "others": [{"Cy says"}, {"Cy says"}, set()],
            "everyone": 3 * [{"Cy says"}],
            "sender": [set(), set(), {"Cy says"}],
        }[to]
        for number, extra in enumerate([set(), {"not for Ann"}, {"not for Ann", "for Cy alone"}]):
            assert heard[number] - {"Cy says"} == {"for all"} | extra
            assert heard[number] & {"Cy says"} <= said_by_cy[number]


async def test_who_has_gone_can_be_excluded(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory) as (server, join):
        peer, other = await join(), await join()
        gone, _ = server.hub.members("/")
        await peer.close()
        await peer.rest()
        await trio.sleep(1)
        assert await server.hub.publish("/", "hello", exclude=gone) == 1
        assert await other.next() == ("text", "hello")


async def test_publishing_without_waiting_says_when_a_room_is_full() -> None:
    async with open_hub(max_pending_bytes=2000, max_message_size=1000) as hub:
        async with hub.subscribe("/") as subscription:
            with pytest.raises(trio.WouldBlock):
                for _ in range(10):
                    hub.publish_nowait("/", 900 * "x")
            assert await anext(subscription) == 900 * "x"
        assert hub.publish_nowait("/", "nobody there") == 0


# Who said what.


async def test_a_subscription_can_tell_who_sent_each_message() -> None:
    async with serving(history=10) as server:
        hub = server.server.hub
        await hub.publish("/", "long ago")
        start = None
        async with hub.subscribe("/") as subscription:
            start = subscription.place.rpartition("-")[0] + "-0"
        async with (
            hub.subscribe("/", after=start, sources=True) as told,
            trioecho.open_client(server.url) as one,
            trioecho.open_client(server.url) as other,
        ):
            await one.send("from one")
            assert (await anext(told)).origin == "past"
            heard = [await anext(told)]
            await other.send(b"from another")
            heard.append(await anext(told))
            await hub.publish("/", "from us")
            await fetch(server.url, method="POST", body=b"posted", headers={"Content-Type": "text/plain"})
            heard += [await anext(told), await anext(told)]
            members = hub.members("/")
        assert [(each.message, each.origin) for each in heard] == [
            ("from one", "member"),
            (b"from another", "member"),
            ("from us", "application"),
            ("posted", "post"),
        ]
        assert [each.member for each in heard[:3]] == [*members, None]
        assert isinstance(heard[3].member, Member) and heard[3].member.address.startswith("127.0.0.1")


async def test_sources_are_told_of_messages_that_were_joined() -> None:
    async with served(memory) as (server, join), server.hub.subscribe("/", sources=True) as told:
        peer = await join()
        (member,) = server.hub.members("/")
        server.hub.publish_nowait("/", "one")
        server.hub.publish_nowait("/", "two")
        await peer.send("three", "four")
        server.hub.publish_nowait("/", "kept from it", exclude=member)
        heard = {each.message: each.member for each in [await anext(told) for _ in range(5)]}
        assert heard == {"one": None, "two": None, "three": member, "four": member, "kept from it": None}


# What is counted.


async def test_statistics_are_a_value_of_one_moment() -> None:
    async with served(memory) as (server, join), server.hub.subscribe("/") as subscription:
        peer = await join()
        await peer.send("hello")
        assert await anext(subscription) == "hello"
        before = server.hub.statistics()
        await server.hub.publish("/", "to it")
        assert await peer.next() == ("text", "to it")
        await peer.close()
        await peer.rest()
        await trio.testing.wait_all_tasks_blocked()
        after = server.hub.statistics()
        assert (before.rooms, before.clients, before.messages_in, before.messages_out) == ({"/": 2}, 1, 1, 1)
        assert (after.rooms, after.clients, after.messages_in, after.messages_out) == ({"/": 1}, 0, 1, 2)
        assert dict(after.disconnected) == {"client-closed": 1}
        with pytest.raises(dataclasses.FrozenInstanceError):
            after.clients = 3  # type: ignore[misc]
        with pytest.raises(TypeError):
            after.rooms["/"] = 3  # type: ignore[index]
