"""The application's hooks: what they decide, in which order, and what happens when they fail."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from helpers.http_client import fetch
from helpers.server import serving
from helpers.streams import memory
from helpers.virtual_server import served

import trioecho
from trioecho import Disconnect, Identity, Member, OptionError, Relay, To

TEXT = {"Content-Type": "text/plain"}

# What on_message returns.


async def test_a_hook_relays_another_message_and_knows_who_sent_it() -> None:
    async def name_it(member: Member, message: str | bytes) -> str:
        return f"{member.identity.name}@{member.room}: {message!r}"

    async def authorize(request: trioecho.Request) -> Identity:
        return Identity(request.query)

    hooks = {"on_message": name_it, "authorize": authorize}
    async with served(memory, hooks=hooks) as (_, join):
        ann, bob = await join("/chat?ann"), await join("/chat?bob")
        await ann.send("hi", b"\x00")
        assert await bob.next() == ("text", "ann@/chat: 'hi'")
        assert await bob.next() == ("text", "ann@/chat: b'\\x00'")
        await bob.send("ho")
        assert await ann.next() == ("text", "bob@/chat: 'ho'")


async def test_a_hook_relays_the_same_several_or_nothing() -> None:
    async def decide(member: Member, message: str | bytes) -> Relay:
        answers: dict[object, Relay] = {"same": message, "several": ["one", b"two", "three"], "nothing": None}
        return answers[message]

    async with served(memory, hooks={"on_message": decide}, prefix="> ") as (server, join):
        one, other = await join(), await join()
        await one.send("nothing", "same", "several")
        assert [await other.next() for _ in range(4)] == [
            ("text", "> same"),
            ("text", "> one"),
            ("binary", b"two"),
            ("text", "> three"),
        ]
        assert server.counters.messages_discarded == 0


async def test_a_hook_sends_to_another_room_and_to_one_member() -> None:
    members: dict[str, Member] = {}

    async def on_join(member: Member) -> None:
        members[member.room] = member

    async def decide(member: Member, message: str | bytes) -> Relay:
        return [
            To("/log", f"{member.room} {message!r}"),
            To(members["/there"], "you alone"),
            To(member.room, "all of you"),
        ]

    async with served(memory, hooks={"on_message": decide, "on_join": on_join}) as (_, join):
        here, log, there, beside = [await join(room) for room in ("/here", "/log", "/there", "/there")]
        await here.send("hi")
        assert await log.next() == ("text", "/here 'hi'")
        assert await beside.next() == ("text", "you alone")
        assert await here.next() == ("text", "all of you")
        await beside.send("x")
        assert await beside.next() == ("text", "you alone")
        assert await beside.next() == ("text", "all of you")
        assert await there.next() == ("text", "all of you")


async def test_a_clients_messages_keep_their_order_and_others_do_not_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slow_for_some(member: Member, message: str | bytes) -> str | bytes:
        if str(message).startswith("slow"):
            await trio.sleep(5)
        return message

    async with served(memory, hooks={"on_message": slow_for_some}) as (_, join):
        one, two, listener = [await join() for _ in range(3)]
        await one.send("slow", "after it")
        await two.send("quick")
        assert [await listener.next() for _ in range(3)] == [
            ("text", "quick"),
            ("text", "slow"),
            ("text", "after it"),
        ]
        assert trio.current_time() == pytest.approx(5, abs=0.5)


async def test_a_hook_that_never_waits_still_lets_others_run() -> None:
    """A read brings hundreds of messages; whoever sends them gets no more than a slice at a time."""
    seen = passes = 0
    done = trio.Event()

    async def count(member: Member, message: str | bytes) -> None:
        nonlocal seen
        seen += 1

    async def runner() -> None:
        nonlocal passes
        while not done.is_set():
            passes += 1
            await trio.lowlevel.checkpoint()

    async with served(memory, hooks={"on_message": count}) as (_, join), trio.open_nursery() as nursery:
        peer = await join()
        await peer.send(*[str(number) for number in range(250)])
        nursery.start_soon(runner)
        before = passes
        while seen < 250:
            await trio.lowlevel.checkpoint()
        assert passes - before >= 250 // 32
        done.set()


# What goes wrong with them ends one client.


async def test_a_hook_that_fails_ends_its_client_alone_and_is_logged_with_its_traceback() -> None:
    async def fail_at(member: Member, message: str | bytes) -> str | bytes:
        if message == "bad":
            raise LookupError("a bug of the application's")
        return message

    async with serving(hooks={"on_message": fail_at}) as server:
        async with (
            trioecho.open_client(server.url) as bad,
            trioecho.open_client(server.url) as good,
            trioecho.open_client(server.url) as other,
        ):
            await bad.send("bad")
            with pytest.raises(trioecho.ConnectionClosed) as ended:
                await bad.receive()
            assert (ended.value.code, ended.value.reason) == (1011, "the application failed")
            await good.send("good")
            assert await other.receive() == "good"
        assert any("a bug of the app" in str(entry["traceback"]) for entry in server.tracebacks)
        assert server.server.counters.disconnected["hook-failed"] == 1


async def test_a_hook_that_takes_too_long_ends_its_client(autojump_clock: trio.testing.MockClock) -> None:
    async def hang(member: Member, message: str | bytes) -> None:
        await trio.sleep_forever()

    async with served(memory, hooks={"on_message": hang, "hook_timeout": 3}) as (server, join):
        peer = await join()
        await peer.send("hello", "more")
        assert (await peer.rest())[-1] == ("close", 1011)
        assert 3 <= trio.current_time() < 4
        await trio.testing.wait_all_tasks_blocked()
        assert server.counters.disconnected["hook-timeout"] == 1
        assert server.counters.messages_discarded == 1


@pytest.mark.parametrize("wrong", [7, object(), ["fine", 7], {"a": 1}, "\ud800", 20 * "x"])
async def test_what_cannot_be_sent_is_a_bug_of_the_hook(wrong: Any) -> None:
    async def answer(member: Member, message: str | bytes) -> Any:
        return wrong

    async with served(memory, hooks={"on_message": answer}, max_message_size=10) as (server, join):
        one, other = await join(), await join()
        await one.send("hello")
        assert (await one.rest())[-1] == ("close", 1011)
        assert server.counters.disconnected["hook-failed"] == 1
        assert await server.hub.publish("/", "well?") == 1
        assert await other.next() == ("text", "well?")  # and nothing of what was fine


def test_a_wrong_target_is_an_error_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="must begin with a slash"):
        To("log", "message")
    with pytest.raises(TypeError, match="a room's name"):
        To(7, "message")  # type: ignore[arg-type]


async def test_hooks_are_checked_before_anything_is_opened() -> None:
    with pytest.raises(OptionError, match=r"^on_join must be an async function"):
        await trioecho.serve(port=0, on_join="hello")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"^hook_timeout must be"):
        await trioecho.serve(port=0, hook_timeout=0)


async def test_a_hook_is_cancelled_when_its_client_is_disconnected(
    autojump_clock: trio.testing.MockClock,
) -> None:
    cancelled = trio.Event()

    async def hang(member: Member, message: str | bytes) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            cancelled.set()
            raise

    async with served(memory, hooks={"on_message": hang, "hook_timeout": 1000}) as (server, join):
        peer = await join()
        await peer.send("hello")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.shutdown)
            assert (await peer.next()) == ("close", 1001)
            await peer.close()
            await cancelled.wait()


# Joining and leaving.


async def test_who_comes_is_told_before_it_is_read_and_who_goes_with_the_reason() -> None:
    told: list[tuple[object, ...]] = []
    gone = trio.Event()

    async def on_join(member: Member) -> None:
        told.append(("joined", member.room))
        await member.send("welcome")

    async def on_message(member: Member, message: str | bytes) -> None:
        told.append(("said", message))

    async def on_leave(member: Member, why: Disconnect) -> None:
        told.append(("left", member.room, why.name))
        assert not await member.send("anybody there?")
        assert not member.is_connected
        gone.set()

    hooks = {"on_join": on_join, "on_message": on_message, "on_leave": on_leave}
    async with served(memory, hooks=hooks) as (_, join):
        peer = await join("/here")
        await peer.send("hello")
        assert await peer.next() == ("text", "welcome")
        await peer.close()
        await peer.rest()
        await gone.wait()
    assert told == [("joined", "/here"), ("said", "hello"), ("left", "/here", "client-closed")]


async def test_a_listener_to_events_joins_and_leaves_too() -> None:
    told: list[str] = []
    left = trio.Event()

    async def on_join(member: Member) -> None:
        told.append(f"joined {member.room}")
        await member.send("only\nyou")

    async def on_leave(member: Member, why: Disconnect) -> None:
        told.append(f"left {why.name}")
        left.set()

    async with serving(hooks={"on_join": on_join, "on_leave": on_leave}) as server:
        host, port = server.url.removeprefix("ws://").strip("/").split(":")
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream:
            await stream.send_all(b"GET /e HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
            received = b""
            while b"you" not in received:
                received += await stream.receive_some()
            assert received.endswith(b"data: only\ndata: you\n\n")
            assert b"id:" not in received.partition(b"data: only")[0].rpartition(b"\n\n")[2]
        await left.wait()
    assert told == ["joined /e", "left client-closed"]


async def test_a_failing_on_join_ends_the_client_and_on_leave_is_told() -> None:
    why: list[str] = []

    async def on_join(member: Member) -> None:
        raise ValueError

    async def on_leave(member: Member, reason: Disconnect) -> None:
        why.append(reason.name)
        raise ValueError("and this fails as well")

    async with served(memory, hooks={"on_join": on_join, "on_leave": on_leave}) as (server, join):
        peer = await join()
        assert await peer.next() == ("close", 1011)
        await peer.close()
        await peer.rest()
        await trio.testing.wait_all_tasks_blocked()
        assert why == ["hook-failed"]
        assert server.counters.disconnected["hook-failed"] == 1


async def test_a_cancelled_server_calls_on_leave_and_cancels_it() -> None:
    ran: list[str] = []

    async def on_leave(member: Member, why: Disconnect) -> None:
        ran.append(why.name)
        await trio.lowlevel.checkpoint()
        ran.append("never")

    async with served(memory, hooks={"on_leave": on_leave}) as (_, join):
        await join()
    assert ran == ["cancelled"]


async def test_publishing_from_on_leave_at_a_shutdown_is_no_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server: trioecho.Server

    async def on_leave(member: Member, why: Disconnect) -> None:
        await server.hub.publish(member.room, "somebody left")

    async with served(memory, hooks={"on_leave": on_leave}) as (server, join):
        peer = await join()
        with caplog.at_level(logging.ERROR):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.shutdown)
                assert await peer.next() == ("close", 1001)
                await peer.close()
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# What stands beside them.


async def test_a_client_with_a_rate_and_hooks_has_both(autojump_clock: trio.testing.MockClock) -> None:
    async def loud(member: Member, message: str | bytes) -> str:
        return str(message).upper()

    async with served(memory, hooks={"on_message": loud}, rate="2/s:1") as (_, join):
        one, other = await join(), await join()
        await one.send("a", "b", "c")
        assert [await other.next() for _ in range(3)] == [("text", "A"), ("text", "B"), ("text", "C")]
        assert trio.current_time() >= 0.9


async def test_who_may_not_publish_is_not_asked_about() -> None:
    asked: list[object] = []

    async def on_message(member: Member, message: str | bytes) -> None:
        asked.append(message)

    async def authorize(request: trioecho.Request) -> Identity:
        return Identity("mute", publish=False)

    async with served(memory, hooks={"on_message": on_message, "authorize": authorize}) as (_, join):
        peer = await join()
        await peer.send("hello")
        assert await peer.next() == ("close", 1008)
    assert not asked


async def test_a_message_by_post_goes_through_the_hook_too() -> None:
    async def on_message(member: Member, message: str | bytes) -> Relay:
        if message == "bad":
            raise ValueError
        assert not await member.send("nobody there")
        return [f"posted {message!r}", To("/log", "seen")]

    async with serving(hooks={"on_message": on_message}) as server:
        async with (
            trioecho.open_client(f"{server.url}a") as client,
            server.server.hub.subscribe("/log") as log,
        ):
            done = await fetch(server.url, "/a", method="POST", body=b"hi", headers=TEXT)
            assert (done.status, done.value) == (202, {"room": "/a", "receivers": 1})
            assert await client.receive() == "posted 'hi'"
            assert await anext(log) == "seen"
            bad = await fetch(server.url, "/a", method="POST", body=b"bad", headers=TEXT)
            assert bad.status == 500
