"""Rooms: one order for everybody, and a fan-out that lets other tasks run."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing
from helpers.streams import memory
from helpers.traffic import Seen
from helpers.virtual_server import served

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.fan_out import offer
from trioecho.rooms.registry import Registry
from trioecho.rooms.subscriber import Subscriber
from trioecho.rooms.subscription import Subscription
from trioecho.settings import Audience, Settings

SIZE = 1000

BOUND = {"max_pending_bytes": 3 * (SIZE + 64), "max_message_size": SIZE}
"""An outbox holds three of the messages below, the one that is being written included."""


def crowd(registry: Registry, count: int) -> list[Subscriber]:
    """Let so many enter one room."""
    members = [Subscriber(registry.settings) for _ in range(count)]
    for member in members:
        member.room = registry.enter("/", member)
    return members


def text(number: int) -> str:
    return f"{number:05}".ljust(SIZE - 10, ".")


@pytest.mark.parametrize("to", ["others", "everyone", "sender"])
async def test_everybody_sees_one_order_and_each_senders_own(to: Audience) -> None:
    """Three talk at once, and the application too; nobody's messages are lost, doubled or out of order."""
    count, names = 50, ["Ada", "Bo", "Cy"]
    async with served(memory, to=to) as (server, join), trio.open_nursery() as nursery:
        peers = {name: await join("/") for name in names}
        heard: dict[str, list[Seen]] = {name: [] for name in names}
        for name, peer in peers.items():
            nursery.start_soon(peer.listen, heard[name])

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


async def test_a_big_fan_out_lets_other_tasks_run(nursery: trio.Nursery) -> None:
    """Ten thousand members take tens of milliseconds; in between there are turns for everybody else."""
    registry = Registry(Settings(), nursery)
    members = crowd(registry, 10_000)
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
        await registry.relay("/", frames.encode("hello"))
    steps = [later - earlier for earlier, later in pairwise(served_at_turn)]
    assert max(steps) <= 500
    assert all(member.outbox.pending_bytes for member in members)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("to", ["others", "everyone"])
async def test_a_room_where_everybody_talks_lets_other_tasks_run(nursery: trio.Nursery, to: Audience) -> None:
    """Each of many senders is written something else; that must not be one long stretch either."""
    registry = Registry(Settings(to=to), nursery)
    members = crowd(registry, 256)
    served = [0]

    async def count_turns() -> None:
        while served[-1] < len(members):
            await trio.lowlevel.checkpoint()
            served.append(sum([member.outbox.pending_bytes > 0 for member in members]))

    async with trio.open_nursery() as turns:
        turns.start_soon(count_turns)
        for member in members:
            turns.start_soon(member.room.publish, Batch(member, frames.encode("x" * 1_800), 1))
    assert max(later - earlier for earlier, later in pairwise(served)) <= 40
    await trio.testing.wait_all_tasks_blocked()
    each = len(members) - (to == "others")
    assert registry.counters.bytes_out == len(members) * each * len(frames.encode("x" * 1_800))
    for member in members:
        assert member.outbox.pending_bytes >= each * 1_800
    nursery.cancel_scope.cancel()


async def test_who_comes_or_goes_during_a_fan_out_gets_all_or_nothing_of_it(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(), nursery)
    members = crowd(registry, 2_000)
    newcomer = Subscriber(registry.settings)
    last = members[-1]
    async with trio.open_nursery() as turns:
        turns.start_soon(registry.relay, "/", frames.encode("one"))
        while not members[0].outbox.pending_bytes:
            await trio.lowlevel.checkpoint()
        assert not last.outbox.pending_bytes
        newcomer.room = registry.enter("/", newcomer)
        last.outbox.close()
        registry.leave(last.room, last)
    await trio.testing.wait_all_tasks_blocked()
    assert newcomer.outbox.pending_bytes == 0
    assert last.outbox.pending_bytes == 0
    await registry.relay("/", frames.encode("two"))
    assert await anext(Subscription(newcomer)) == "two"
    second = Subscription(members[1])
    assert [await anext(second), await anext(second)] == ["one", "two"]
    nursery.cancel_scope.cancel()


async def test_who_makes_room_during_the_fan_out_is_not_waited_for(nursery: trio.Nursery) -> None:
    """The first of many is full when its turn comes, and has room again before the turn of the last."""
    registry = Registry(Settings(**BOUND), nursery)  # type: ignore[arg-type]
    members = crowd(registry, 2_000)
    first, last = members[0], members[-1]
    for number in range(3):
        assert offer(first.outbox, Batch(Origin.APPLICATION, frames.encode(text(number)), 1))
    full = first.outbox.pending_bytes
    await registry.relay("/", frames.encode(text(3)))
    while first.outbox.full_since is None:
        await trio.lowlevel.checkpoint()
    taker = Subscription(first)
    assert await anext(taker) == text(0)
    assert not last.outbox.pending_bytes, "the fan-out was over"
    await trio.testing.wait_all_tasks_blocked()
    assert first.outbox.pending_bytes == full, "the room still waits"
    assert [await anext(taker) for _ in range(3)] == [text(number) for number in (1, 2, 3)]
    nursery.cancel_scope.cancel()
