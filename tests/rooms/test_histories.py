"""What a server's rooms remember together, and for how long when nobody is there."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from helpers.streams import memory
from helpers.virtual_server import served
from hypothesis import given
from hypothesis import strategies as st

from trioecho import Hub, Settings
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.histories import Histories
from trioecho.rooms.history import ENTRY_COST, STEP_BYTES, History
from trioecho.rooms.hub import registry_of
from trioecho.rooms.registry import Registry
from trioecho.rooms.subscriber import Subscriber


def message(text: str = "hello") -> Batch:
    return Batch(Origin.APPLICATION, frames.encode(text), 1)


def kept(history: History | None) -> list[str | bytes]:
    assert history is not None
    batch = history.page(history.first)
    return [] if batch is None else list(frames.messages(batch.frames))


async def test_a_room_remembers_for_a_minute_after_everybody_has_left(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    registry = Registry(Settings(), nursery)
    member = Subscriber(registry.settings)
    room = member.room = registry.enter("/", member)
    await registry.relay("/", frames.encode("while I am here"))
    await room.flush()
    epoch = room.history.epoch
    registry.leave(room, member)
    assert registry.rooms == {}
    assert await registry.relay("/", frames.encode("while I am away")) == 0
    await trio.sleep(59)
    again = registry.enter("/", member)
    assert again is not room and again.history.epoch == epoch
    assert kept(again.history) == ["while I am here", "while I am away"]
    registry.leave(again, member)
    await trio.sleep(61)
    anew = registry.enter("/", member)
    assert anew.history.epoch != epoch and anew.history.offset == 0
    nursery.cancel_scope.cancel()


async def test_without_history_the_count_goes_on_for_those_who_come_back(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(history=0), nursery)
    member = Subscriber(registry.settings)
    room = registry.enter("/", member)
    registry.leave(room, member)
    for _ in range(17):
        assert await registry.relay("/", frames.encode("missed")) == 0
        assert await registry.relay("/other", frames.encode("nobody was ever there")) == 0
    again = registry.enter("/", member)
    assert (again.history.epoch, again.history.offset) == (room.history.epoch, 17)
    assert registry.histories.get("/other") is None
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("to", ["others", "everyone", "sender"])
async def test_what_was_taken_when_the_last_one_left_is_remembered(nursery: trio.Nursery, to: Any) -> None:
    """Otherwise a message would be lost that its publisher was told had been taken, and nobody be told."""
    registry = Registry(Settings(to=to), nursery)
    member = Subscriber(registry.settings)
    room = registry.enter("/", member)
    for number in range(10):
        assert await registry.relay("/", frames.encode(str(number))) == 1
        await room.publish(Batch(member, frames.encode("a member's"), 1))
    registry.leave(room, member)
    said = kept(registry.histories.get("/"))
    assert [text for text in said if text != "a member's"] == [str(number) for number in range(10)]
    assert len(said) == (10 if to == "sender" else 20)
    assert await registry.relay("/", frames.encode("after")) == 0
    again = registry.enter("/", member)
    await trio.testing.wait_all_tasks_blocked()
    assert kept(again.history) == [*said, "after"]
    nursery.cancel_scope.cancel()


async def test_what_was_gathered_when_the_last_one_left_is_remembered_once(nursery: trio.Nursery) -> None:
    """A room under load holds messages back to join them; its last member may leave at any step of that."""
    for steps in range(12):
        registry = Registry(Settings(history=1000), nursery)
        member = Subscriber(registry.settings)
        room = registry.enter("/", member)
        for number in range(3):
            await registry.relay("/", frames.encode(f"first {number}"))
        await room.flush()  # a fan-out of several: the next may gather
        for number in range(3):
            await registry.relay("/", frames.encode(f"then {number}"))
            for _ in range(steps // 3):
                await trio.lowlevel.checkpoint()
        registry.leave(room, member)
        await trio.testing.wait_all_tasks_blocked()
        expected = [f"first {number}" for number in range(3)] + [f"then {number}" for number in range(3)]
        assert kept(registry.histories.get("/")) == expected


async def test_publishers_who_wait_for_a_room_that_ends_are_remembered(nursery: trio.Nursery) -> None:
    small = {"max_pending_bytes": 1_000, "max_message_size": 1_000}
    hub = Hub(Settings(history=1000, **small), nursery)  # type: ignore[arg-type]
    registry = registry_of(hub)
    member = Subscriber(registry.settings)
    room = member.room = registry.enter("/", member)
    async with trio.open_nursery() as publishing:
        for number in range(20):
            publishing.start_soon(hub.publish, "/", f"{number} {500 * 'x'}")
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        member.outbox.close()
        registry.leave(room, member)
    said = kept(registry.histories.get("/"))
    assert sorted(int(str(text).split()[0]) for text in said) == list(range(20))


async def test_a_server_that_shuts_down_does_not_wait_for_what_rooms_remember(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(memory) as (server, join):
        peer = await join("/")
        await server.hub.publish("/", "hello")
        await peer.close()
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await server.shutdown()
        assert trio.current_time() == began


async def test_memory_is_free_when_nobody_asks_any_more(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory, history_age=10) as (server, join):
        histories = registry_of(server.hub).histories
        await join("/")
        for room in ("/", "/nobody"):
            await server.hub.publish(room, "hello")
        await trio.testing.wait_all_tasks_blocked()
        assert histories.cost == 2 * (7 + ENTRY_COST + STEP_BYTES)
        await trio.sleep(20.5)
        assert histories.cost == 0
        await server.hub.publish("/", "again")
        await trio.testing.wait_all_tasks_blocked()
        assert histories.cost == 7 + ENTRY_COST + STEP_BYTES
        await trio.sleep(20.5)
        assert histories.cost == 0


async def test_rooms_that_somebody_was_in_are_remembered_longest(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(max_rooms=10), nursery)
    for number in range(10):
        member = Subscriber(registry.settings)
        registry.leave(registry.enter(f"/left/{number}", member), member)
    for number in range(1_000):
        await registry.relay(f"/nobody/{number}", frames.encode("hello"))
    histories = registry.histories
    assert all(histories.get(f"/left/{number}") for number in range(10))
    assert histories.cost <= 10 * (7 + ENTRY_COST + STEP_BYTES)
    for number in range(5):
        member = Subscriber(registry.settings)
        registry.leave(registry.enter(f"/more/{number}", member), member)
    assert [bool(histories.get(f"/left/{number}")) for number in range(10)] == [False] * 5 + [True] * 5
    nursery.cancel_scope.cancel()


async def test_a_room_that_is_remembered_takes_no_place_of_another(nursery: trio.Nursery) -> None:
    hub = Hub(Settings(max_rooms=1), nursery)
    for name in ("/one", "/two", "/three"):
        async with hub.subscribe(name):
            assert hub.rooms == {name: 1}
    assert hub.rooms == {}


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 500)), max_size=60),
    st.sampled_from([0, 500, 9_000, 20_000]),
)
def test_all_rooms_together_stay_within_the_bound(said: list[tuple[int, int]], bound: int) -> None:
    async def main() -> None:
        histories = Histories(Settings(history_total=bound))
        opened = [histories.open(f"/{number}") for number in range(5)]
        counts = [0] * 5
        for number, size in said:
            opened[number].add(message("x" * size))
            counts[number] += 1
            assert histories.cost == sum(history.cost for history in opened) <= bound
            assert [history.offset for history in opened] == counts
        for history in opened:
            histories.drop(history)
        assert histories.cost == 0

    trio.run(main)


async def test_a_busy_room_does_not_make_all_others_forget() -> None:
    """Beyond the bound rooms forget in turn, so a room that fills the memory loses as much itself."""
    histories = Histories(Settings(history_total=60_000, history=1_000_000, history_bytes=2**30))
    quiet, busy = histories.open("/quiet"), histories.open("/busy")
    for _ in range(10):
        quiet.add(message())
    for _ in range(200):
        busy.add(message())
    assert quiet.offset == 10
    assert busy.offset - busy.first >= 120
