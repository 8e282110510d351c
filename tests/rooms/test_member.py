"""A member as the application has it: what it is, and what is sent to it alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Unpack

import pytest
import trio
import trio.testing
from helpers.heads import Heads
from helpers.streams import lockstep, memory
from helpers.virtual_server import Join, served

from trioecho import Member, Options, Server

V1 = "trioecho.v1"


@asynccontextmanager
async def known(
    connect: Any = memory, **options: Unpack[Options]
) -> AsyncIterator[tuple[Server, Join, list[Member]]]:
    """A server, a way in, and the members in the order in which they came."""
    members: list[Member] = []

    async def on_join(member: Member) -> None:
        members.append(member)

    async with served(connect, hooks={"on_join": on_join}, **options) as (server, join):
        yield server, join, members


async def until_known(members: list[Member], count: int) -> None:
    with trio.fail_after(5):
        while len(members) < count:
            await trio.lowlevel.checkpoint()


async def test_a_member_is_data_that_nobody_can_change() -> None:
    async with known() as (_, join, members):
        await join("/a%20b")
        await join("/a%20b")
        await until_known(members, 2)
        one, other = members
        assert (one.room, one.identity.name) == ("/a b", None)
        assert one.id != other.id and len(one.id) == 16
        assert one != other and {one: 1}[one] == 1
        with pytest.raises(AttributeError):
            one.room = "/b"  # type: ignore[misc]
        assert "_link" not in repr(one)


@pytest.mark.parametrize("message", ["hello", "", b"\x00", 200 * "é"])
async def test_what_is_sent_to_a_member_reaches_it_alone_and_in_order(message: str | bytes) -> None:
    async with known(prefix="not before it: ") as (server, join, members):
        one, other = await join(), await join()
        await until_known(members, 2)
        await server.hub.publish("/", "before")
        await trio.testing.wait_all_tasks_blocked()
        assert await members[0].send(message)
        assert members[0].send_nowait("at once")
        await server.hub.publish("/", "after")
        kind = "text" if isinstance(message, str) else "binary"
        assert [await one.next() for _ in range(4)] == [
            ("text", "before"),
            (kind, message),
            ("text", "at once"),
            ("text", "after"),
        ]
        assert [await other.next() for _ in range(2)] == [("text", "before"), ("text", "after")]


async def test_what_no_client_could_get_is_refused_where_it_is_sent() -> None:
    async with known(max_message_size=10) as (_, join, members):
        await join()
        await until_known(members, 1)
        for send in (members[0].send_nowait, members[0].send):
            with pytest.raises(TypeError, match="str or bytes"):
                if (sent := send(7)) and not isinstance(sent, bool):  # type: ignore[arg-type]
                    await sent
            with pytest.raises(ValueError, match="11 bytes; max_message_size is 10"):
                if (sent := send(11 * "x")) and not isinstance(sent, bool):
                    await sent


async def test_who_has_gone_is_sent_nothing() -> None:
    async with known() as (_, join, members):
        peer = await join()
        await until_known(members, 1)
        await peer.close()
        await peer.rest()
        await trio.testing.wait_all_tasks_blocked()
        assert not members[0].is_connected
        assert not await members[0].send("hello")
        assert not members[0].send_nowait("hello")


async def test_sending_waits_for_one_who_does_not_read_and_then_disconnects_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with known(lockstep, max_pending_bytes=2000, max_message_size=1000, stall_limit=3) as (
        server,
        join,
        members,
    ):
        await join()
        await until_known(members, 1)
        sent = 0
        while await members[0].send(900 * "x"):
            sent += 1
            assert sent < 10
        assert sent >= 2
        assert 3 <= trio.current_time() < 4
        await trio.sleep(3)
        assert server.counters.disconnected["slow"] == 1


async def test_sending_without_waiting_says_when_the_outbox_is_full() -> None:
    async with known(lockstep, max_pending_bytes=2000, max_message_size=1000) as (_, join, members):
        peer = await join()
        await until_known(members, 1)
        with pytest.raises(trio.WouldBlock):
            for number in range(10):
                assert members[0].send_nowait(f"{number}{900 * 'x'}")
        _, first = await peer.next()
        assert str(first).startswith("0")
        await trio.testing.wait_all_tasks_blocked()
        assert members[0].send_nowait("there is room again")


async def test_a_cancelled_send_was_not_sent(autojump_clock: trio.testing.MockClock) -> None:
    async with known(lockstep, max_pending_bytes=2000, max_message_size=1000) as (_, join, members):
        peer = await join()
        await until_known(members, 1)
        sent = 0
        with trio.move_on_after(1):
            while True:
                assert await members[0].send(f"{sent} {900 * 'x'}")
                sent += 1
        heard = 0
        with trio.move_on_after(1):
            while True:
                _, said = await peer.next()
                assert str(said).startswith(f"{heard} ")
                heard += 1
        assert heard == sent > 0


async def test_a_dropping_policy_drops_what_is_sent_to_one_too(
    autojump_clock: trio.testing.MockClock,
) -> None:
    options: Options = {"max_pending_bytes": 2000, "max_message_size": 1000, "when_slow": "drop-newest"}
    async with known(lockstep, **options) as (_, join, members):
        peer = await join()
        await until_known(members, 1)
        for number in range(10):
            assert await members[0].send(f"{number}{900 * 'x'}")
        assert str((await peer.next())[1]).startswith("0")


async def test_a_message_to_one_takes_no_number_of_the_room() -> None:
    """A speaker of trioecho.v1 stays where it is, and what comes next has the next number."""
    async with known() as (server, join, members):
        peer = await join(protocol=V1)
        await until_known(members, 1)
        client = Heads()
        client.connected()
        await server.hub.publish("/", "first")
        await trio.testing.wait_all_tasks_blocked()
        await members[0].send("you alone")
        await server.hub.publish("/", "second")
        while len(client.heard) < 3:
            _, message = await peer.next()
            assert isinstance(message, (str, bytes))
            client.take(message)
        assert client.heard == ["first", "you alone", "second"]
        assert client.offset == 2
        assert client.numbers[-1] == 2


async def test_a_message_to_one_who_is_still_in_the_past_does_not_make_it_skip() -> None:
    async def on_join(member: Member) -> None:
        assert member.send_nowait("you alone")

    options: Options = {"history_bytes": 10**6, "max_pending_bytes": 20_000, "max_message_size": 10_000}
    async with served(lockstep, hooks={"on_join": on_join}, **options) as (server, join):
        for number in range(80):
            await server.hub.publish("/", f"{number}{9000 * 'x'}")
        peer = await join("/?last=80", protocol=V1)
        client = Heads()
        client.connected()
        with trio.fail_after(5):
            while len(client.heard) < 81:
                _, message = await peer.next()
                assert isinstance(message, (str, bytes))
                client.take(message)
        at = client.heard.index("you alone")
        heard = [*client.heard[:at], *client.heard[at + 1 :]]
        assert [str(message).partition("x")[0] for message in heard] == [str(number) for number in range(80)]
        assert at < 80
        assert client.offset == 80
        assert not client.missed
