"""
Rooms: one order for everybody, and what a slow client does to its own room and to no other.

The server and its sessions are real; a slow client is one that does not read from a stream in memory, and
its seconds are virtual.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import trio
import trio.testing
from parts import lockstep, memory
from served import Peer, served
from traffic import Seen

from trioecho import Hub, frames
from trioecho.batch import Batch
from trioecho.limits import Audience, Limits
from trioecho.subscription import Subscription

STALL_LIMIT = 5.0
SIZE = 1000

BOUND = {"max_pending_bytes": 3 * (SIZE + 64), "max_message_size": SIZE}
"""An outbox holds three of the messages below, the one that is being written included."""


def text(number: int) -> str:
    return f"{number:05}".ljust(SIZE - 10, ".")


async def listen(peer: Peer, heard: list[Seen]) -> None:
    """Read until the end, whoever has to be waited for."""
    while (seen := await peer.next()) != ("end", None):
        heard.append(seen)
        if seen[0] == "close":
            await peer.close()


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


@pytest.mark.parametrize("to", ["others", "everyone", "sender"])
async def test_everybody_sees_one_order_and_each_senders_own(to: Audience) -> None:
    """Three talk at once, and the application too; nobody's messages are lost, doubled or out of order."""
    count, names = 50, ["Ada", "Bo", "Cy"]
    async with served(memory, to=to) as (server, join), trio.open_nursery() as nursery:
        peers = {name: await join("/") for name in names}
        heard: dict[str, list[Seen]] = {name: [] for name in names}
        for name, peer in peers.items():
            nursery.start_soon(listen, peer, heard[name])

        async def talk(name: str) -> None:
            for number in range(count):
                if name == "application":
                    assert await server.hub.publish("/", f"{name} {number}") == len(names)
                else:
                    await peers[name].send(f"{name} {number}")
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as talking:
            for name in [*names, "application"]:
                talking.start_soon(talk, name)
        await trio.testing.wait_all_tasks_blocked()
        everyone = {*names, "application"}
        expected = {
            me: everyone - {me} if to == "others" else everyone if to == "everyone" else {me, "application"}
            for me in names
        }
        for me in names:
            assert len(heard[me]) == count * len(expected[me])
            for sender in expected[me]:
                mine = [str(said) for _, said in heard[me] if str(said).startswith(sender)]
                assert mine == [f"{sender} {number}" for number in range(count)]
        for one, another in pairwise(names):
            # What both heard, they heard in the same order.
            both = set(heard[one]) & set(heard[another])
            assert [each for each in heard[one] if each in both] == [
                each for each in heard[another] if each in both
            ]
        nursery.cancel_scope.cancel()


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
        nursery.start_soon(listen, fast, heard)
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
        assert server.counters.left == {}
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
        nursery.start_soon(listen, fast, heard)
        await publish(publisher, count, sent)
        await hears(heard, count)
        assert heard == texts(count)
        held = [later - earlier for earlier, later in zip([began, *sent], sent, strict=False)]
        assert max(held) == pytest.approx(STALL_LIMIT)
        assert sent[-1] - began == pytest.approx(STALL_LIMIT)
        assert server.hub.rooms == {"/": 2}
        await trio.sleep(STALL_LIMIT)
        assert server.counters.left == {"slow": stuck}
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
        nursery.start_soon(listen, fast, heard)
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
        nursery.start_soon(listen, fast, heard)
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
            nursery.start_soon(listen, stuck, got)
            await trio.testing.wait_all_tasks_blocked()
            assert got == [("text", text(number)) for number in stuck_gets]
            await stuck.close()
            await trio.testing.wait_all_tasks_blocked()
            assert server.counters.messages_out == len(stuck_gets)
            assert server.counters.messages_dropped == count - len(stuck_gets)
            left = {"left": 1}
        assert server.counters.left == left
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


async def test_a_big_fan_out_lets_other_tasks_run(nursery: trio.Nursery) -> None:
    """Ten thousand members take tens of milliseconds; in between there are turns for everybody else."""
    hub = Hub(Limits(), nursery)
    members = [Subscription(hub.limits) for _ in range(10_000)]
    for member in members:
        member.room = hub.enter("/", member)
    served_at_turn = [0]

    async def count_turns() -> None:
        while served_at_turn[-1] < len(members):
            await trio.lowlevel.checkpoint()
            # Served in the order in which they came.
            done = served_at_turn[-1]
            while done < len(members) and members[done].outbox.pending_bytes:
                done += 1
            served_at_turn.append(done)

    async with trio.open_nursery() as turns:
        turns.start_soon(count_turns)
        await hub.publish("/", "hello")
    steps = [later - earlier for earlier, later in pairwise(served_at_turn)]
    assert max(steps) <= 500
    assert all(member.outbox.pending_bytes for member in members)
    nursery.cancel_scope.cancel()


async def test_who_comes_or_goes_during_a_fan_out_gets_all_or_nothing_of_it(nursery: trio.Nursery) -> None:
    hub = Hub(Limits(), nursery)
    members = [Subscription(hub.limits) for _ in range(2_000)]
    for member in members:
        member.room = hub.enter("/", member)
    newcomer = Subscription(hub.limits)
    last = members[-1]
    async with trio.open_nursery() as turns:
        turns.start_soon(partial(hub.publish, "/", "one"))
        while not members[0].outbox.pending_bytes:
            await trio.lowlevel.checkpoint()
        assert not last.outbox.pending_bytes
        newcomer.room = hub.enter("/", newcomer)
        last.outbox.close()
        hub.leave(last.room, last)
    await trio.testing.wait_all_tasks_blocked()
    assert newcomer.outbox.pending_bytes == 0
    assert last.outbox.pending_bytes == 0
    await hub.publish("/", "two")
    assert await anext(newcomer) == "two"
    assert [await anext(members[1]), await anext(members[1])] == ["one", "two"]
    nursery.cancel_scope.cancel()


async def test_who_makes_room_during_the_fan_out_is_not_waited_for(nursery: trio.Nursery) -> None:
    """The first of many is full when its turn comes, and has room again before the turn of the last."""
    hub = Hub(Limits(**BOUND), nursery)  # type: ignore[arg-type]
    members = [Subscription(hub.limits) for _ in range(2_000)]
    for member in members:
        member.room = hub.enter("/", member)
    first, last = members[0], members[-1]
    for number in range(3):
        assert first.outbox.offer(Batch(None, frames.encode(text(number)), 1))
    full = first.outbox.pending_bytes
    await hub.publish("/", text(3))
    while first.outbox.full_since is None:
        await trio.lowlevel.checkpoint()
    assert await anext(first) == text(0)
    assert not last.outbox.pending_bytes, "the fan-out was over"
    await trio.testing.wait_all_tasks_blocked()
    assert first.outbox.pending_bytes == full, "the room still waits"
    assert [await anext(first) for _ in range(3)] == [text(number) for number in (1, 2, 3)]
    nursery.cancel_scope.cancel()
