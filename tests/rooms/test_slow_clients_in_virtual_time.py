"""
What a slow client does to its own room, under each policy, and to no other room.

The server and its sessions are real; a slow client is one that does not read from a stream in memory, and
its seconds are virtual.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from helpers.streams import lockstep
from helpers.traffic import Seen
from helpers.virtual_server import Peer, served

STALL_LIMIT = 5.0
SIZE = 1000

BOUND = {"max_pending_bytes": 3 * (SIZE + 64), "max_message_size": SIZE, "stall_share": 1}
"""
An outbox holds three of the messages below, the one that is being written included. Everybody is waited for
as long as the stall limit says; who is not is the subject of test_patience.
"""


def text(number: int) -> str:
    return f"{number:05}".ljust(SIZE - 10, ".")


async def publish(peer: Peer, count: int, done: list[float]) -> None:
    """Send so many messages, and note when each had been taken."""
    for number in range(count):
        await peer.send(text(number))
        done.append(trio.current_time())


async def hears(heard: list[Seen], count: int) -> None:
    """Wait until so much was heard."""
    with trio.fail_after(100):
        while len(heard) < count:  # noqa: ASYNC110 - the seconds are virtual
            await trio.sleep(0.001)


def texts(count: int) -> list[Seen]:
    return [("text", text(number)) for number in range(count)]


async def test_wait_loses_nothing_and_publishers_wait(autojump_clock: trio.testing.MockClock) -> None:
    count = 200
    async with (
        served(lockstep, when_slow="wait", stall_limit=STALL_LIMIT, **BOUND) as (server, join),  # type: ignore[arg-type]
        trio.open_nursery() as nursery,
    ):
        publisher, slow, fast = await join("/"), await join("/"), await join("/")
        sent: list[float] = []
        heard: list[Seen] = []
        nursery.start_soon(publish, publisher, count, sent)
        nursery.start_soon(fast.listen, heard)
        got: list[Seen] = []
        while len(got) < count:
            # It catches up now and then, each time before its time is over.
            await trio.sleep(STALL_LIMIT - 0.5)
            with trio.move_on_after(0.1):
                for _ in range(10):
                    got.append(await slow.next())
        await hears(heard, count)
        assert got == heard == texts(count)
        assert sent[-1] - sent[0] > 2 * STALL_LIMIT, "the publisher was not held"
        assert server.counters.disconnected == {}
        nursery.cancel_scope.cancel()


async def test_one_deadline_for_all_who_are_full_then_they_are_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Five stuck clients hold the room for one stall limit and not for five."""
    count, stuck = 200, 5
    async with (
        served(lockstep, when_slow="wait", stall_limit=STALL_LIMIT, **BOUND) as (server, join),  # type: ignore[arg-type]
        trio.open_nursery() as nursery,
    ):
        publisher, fast = await join("/"), await join("/")
        for _ in range(stuck):
            await join("/")
        sent: list[float] = []
        heard: list[Seen] = []
        began = trio.current_time()
        nursery.start_soon(fast.listen, heard)
        await publish(publisher, count, sent)
        await hears(heard, count)
        assert heard == texts(count)
        held = [later - earlier for earlier, later in zip([began, *sent], sent, strict=False)]
        assert max(held) == pytest.approx(STALL_LIMIT)
        assert sent[-1] - began == pytest.approx(STALL_LIMIT)
        assert server.hub.rooms == {"/": 2}
        await trio.sleep(STALL_LIMIT)
        assert server.counters.disconnected == {"slow": stuck}
        nursery.cancel_scope.cancel()


async def test_a_reader_that_trickles_does_not_hold_its_room_for_ever(
    autojump_clock: trio.testing.MockClock,
) -> None:
    count = 200
    async with (
        served(lockstep, when_slow="wait", stall_limit=STALL_LIMIT, **BOUND) as (server, join),  # type: ignore[arg-type]
        trio.open_nursery() as nursery,
    ):
        publisher, trickler = await join("/"), await join("/")

        async def trickle() -> None:
            while True:
                await trickler.stream.receive_some(100)
                await trio.sleep(0.5)

        nursery.start_soon(trickle)
        sent: list[float] = []
        began = trio.current_time()
        await publish(publisher, count, sent)
        await trio.testing.wait_all_tasks_blocked()
        # The first batch may be small and soon through; the second one would take it 15 seconds.
        assert STALL_LIMIT <= sent[-1] - began < 2 * STALL_LIMIT
        assert server.hub.rooms == {"/": 1}
        nursery.cancel_scope.cancel()


async def test_a_stuck_client_holds_up_no_other_room(autojump_clock: trio.testing.MockClock) -> None:
    count = 50
    async with (
        served(lockstep, when_slow="wait", stall_limit=STALL_LIMIT, **BOUND) as (server, join),  # type: ignore[arg-type]
        trio.open_nursery() as nursery,
    ):
        await join("/held")
        held_publisher = await join("/held")
        publisher, fast = await join("/free"), await join("/free")
        heard: list[Seen] = []
        nursery.start_soon(fast.listen, heard)
        nursery.start_soon(publish, held_publisher, count, [])
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        sent: list[float] = []
        await publish(publisher, count, sent)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began, "the other room had to wait"
        assert heard == texts(count)
        assert server.hub.rooms == {"/held": 2, "/free": 2}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("when_slow", "left", "stuck_gets"),
    [
        ("disconnect", {"full": 1}, None),
        ("drop-newest", {}, [0, 1, 2]),
        ("drop-oldest", {}, [0, 48, 49]),
    ],
)
async def test_without_waiting_nobody_is_held_up(
    when_slow: str, left: dict[str, int], stuck_gets: list[int] | None, autojump_clock: trio.testing.MockClock
) -> None:
    count = 50
    async with (
        served(lockstep, when_slow=when_slow, **BOUND) as (server, join),  # type: ignore[arg-type]
        trio.open_nursery() as nursery,
    ):
        publisher, fast, stuck = await join("/"), await join("/"), await join("/")
        heard: list[Seen] = []
        nursery.start_soon(fast.listen, heard)
        began = trio.current_time()
        for number in range(count):
            await publisher.send(text(number))
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began
        assert heard == texts(count)
        got: list[Seen] = []
        if stuck_gets is None:
            # The frame that it did not take is half-written, so there is no place for a close frame.
            await trio.sleep(10)
            assert server.hub.rooms == {"/": 2}
        else:
            nursery.start_soon(stuck.listen, got)
            await trio.testing.wait_all_tasks_blocked()
            assert got == [("text", text(number)) for number in stuck_gets]
            await stuck.close()
            await trio.testing.wait_all_tasks_blocked()
            assert server.counters.messages_out == len(stuck_gets)
            assert server.counters.messages_dropped == count - len(stuck_gets)
            left = {"client-closed": 1}
        assert server.counters.disconnected == left
        nursery.cancel_scope.cancel()


async def test_a_room_ends_with_its_last_member_and_lets_its_publishers_go(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(lockstep, when_slow="wait", stall_limit=STALL_LIMIT, **BOUND) as (server, join):  # type: ignore[arg-type]
        await join("/")
        done: list[int] = []

        async def publish() -> None:
            for number in range(200):
                done.append(await server.hub.publish("/", text(number)))

        async with trio.open_nursery() as publishers:
            publishers.start_soon(publish)
            await trio.testing.wait_all_tasks_blocked()
            assert len(done) < 200, "nobody was waiting"
            began = trio.current_time()
        # The stuck client was the only one in the room: the stall limit took it out, and the room ended.
        assert trio.current_time() - began == pytest.approx(STALL_LIMIT)
        assert server.hub.rooms == {}
        assert done[-1] == 0
