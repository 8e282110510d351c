"""How long a room waits for whom, under the policy wait: in virtual time, with members that read or don't."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import trio
import trio.testing

from trioecho.disconnect import NEVER_KEPT_UP, OVER_SHARE, SLOW, SLOW_AGAIN
from trioecho.rooms.hub import Hub, registry_of
from trioecho.rooms.patience import AT_ONCE, LOOK_AGAIN, NEWCOMER
from trioecho.rooms.slow_history import KEEP
from trioecho.rooms.subscriber import Subscriber
from trioecho.rooms.subscription import Subscription
from trioecho.settings import Settings

STALL_LIMIT = 5.0
SHARE = 0.1
SIZE = 1_000

Clock = trio.testing.MockClock

SETTINGS = Settings(
    stall_limit=STALL_LIMIT, stall_share=SHARE, max_pending_bytes=3 * (SIZE + 64), max_message_size=SIZE
)
"""An outbox holds three messages."""


class Stranger(Subscriber):
    """A member that is no better known than a client."""

    def __init__(
        self, hub: Hub, *, address: str | None = None, name: str | None = None, room: str = "/"
    ) -> None:
        registry = registry_of(hub)
        super().__init__(registry.settings)
        self.joined_at = trio.current_time()  # type: ignore[misc]
        self.known_as = (address, name)  # type: ignore[misc, assignment]
        self.read = 0
        self.room = registry.enter(room, self)
        self.subscription = Subscription(self)

    __slots__ = ("joined_at", "known_as", "read", "subscription")

    async def read_all(self) -> None:
        async for _ in self.subscription:
            self.read += 1


async def publish(hub: Hub, count: int = 10, *, room: str = "/") -> float:
    """Publish so many messages, each when the one before is fanned out; return the seconds that it took."""
    began = trio.current_time()
    for _ in range(count):
        await hub.publish(room, SIZE // 2 * "x")
        joined = registry_of(hub).room(room)
        if joined is not None:
            await joined.flush()
    await trio.testing.wait_all_tasks_blocked()
    return trio.current_time() - began


async def test_who_has_never_kept_up_is_not_waited_for(autojump_clock: Clock, nursery: trio.Nursery) -> None:
    hub = Hub(SETTINGS, nursery)
    reader, stuck = Stranger(hub), Stranger(hub)
    nursery.start_soon(reader.read_all)
    assert await publish(hub) == 0
    assert reader.read == 10 and reader.why is None
    assert stuck.why is NEVER_KEPT_UP


async def test_who_has_kept_up_has_the_stall_limit(autojump_clock: Clock, nursery: trio.Nursery) -> None:
    hub = Hub(SETTINGS, nursery)
    reader, stuck = Stranger(hub), Stranger(hub)
    nursery.start_soon(reader.read_all)
    await trio.sleep(NEWCOMER)
    assert await publish(hub) == STALL_LIMIT
    assert reader.read == 10
    assert stuck.why is SLOW


async def test_who_catches_up_in_time_stays(autojump_clock: Clock, nursery: trio.Nursery) -> None:
    hub = Hub(SETTINGS, nursery)
    reader, slow = Stranger(hub), Stranger(hub)
    nursery.start_soon(reader.read_all)
    await trio.sleep(NEWCOMER)

    async def read_late() -> None:
        await trio.sleep(STALL_LIMIT - 1)
        await slow.read_all()

    nursery.start_soon(read_late)
    assert await publish(hub) == STALL_LIMIT - 1
    assert slow.read == reader.read == 10


async def test_a_room_waits_for_its_share_of_the_time_and_no_longer(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    """Again and again comes somebody of a new name, keeps up for as long as it must, and then stops."""
    hub = Hub(SETTINGS, nursery)
    reader = Stranger(hub)
    nursery.start_soon(reader.read_all)
    began, waited, reasons = trio.current_time(), [], []
    for _ in range(20):
        stuck = Stranger(hub)
        await trio.sleep(NEWCOMER)
        waited.append(await publish(hub))
        reasons.append(stuck.why)
    assert reasons == [SLOW, *[OVER_SHARE] * 19]
    assert waited[0] == STALL_LIMIT
    # Since the last wait began it has saved up for this one.
    assert waited[1] == pytest.approx(SHARE * NEWCOMER)
    assert sum(waited) <= STALL_LIMIT + SHARE * (trio.current_time() - began)
    assert reader.read == 200


async def test_with_no_share_nobody_is_waited_for_but_a_lone_listener(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    hub = Hub(replace(SETTINGS, stall_share=0), nursery)
    reader, stuck, alone = Stranger(hub), Stranger(hub), Stranger(hub, room="/alone")
    nursery.start_soon(reader.read_all)
    await trio.sleep(NEWCOMER)
    assert await publish(hub) == 0
    assert stuck.why is OVER_SHARE
    assert await publish(hub, room="/alone") == STALL_LIMIT
    assert alone.why is SLOW


async def test_with_all_the_time_as_its_share_everybody_has_the_stall_limit(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    hub = Hub(replace(SETTINGS, stall_share=1), nursery)
    reader = Stranger(hub)
    nursery.start_soon(reader.read_all)
    for _ in range(3):
        stuck = Stranger(hub, address="192.0.2.1", name="eve")
        assert await publish(hub) == STALL_LIMIT
        assert stuck.why is SLOW


@pytest.mark.parametrize(
    ("address", "name"), [("192.0.2.1", None), (None, "eve"), ("192.0.2.1", "bo"), ("192.0.2.2", "eve")]
)
async def test_who_was_slow_lately_is_not_waited_for_again_in_any_room(
    address: str | None, name: str | None, autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    hub = Hub(SETTINGS, nursery)
    for room in ("/", "/other", "/third"):
        nursery.start_soon(Stranger(hub, room=room).read_all)
    first = Stranger(hub, address="192.0.2.1", name="eve")
    again = Stranger(hub, address=address, name=name, room="/other")
    other = Stranger(hub, address="192.0.2.3", name="ada", room="/third")
    await trio.sleep(NEWCOMER)
    assert await publish(hub) == STALL_LIMIT
    assert first.why is SLOW
    assert await publish(hub, room="/other") == 0
    assert again.why is SLOW_AGAIN
    assert await publish(hub, room="/third") == STALL_LIMIT
    assert other.why is SLOW


async def test_after_a_while_it_is_waited_for_again(autojump_clock: Clock, nursery: trio.Nursery) -> None:
    hub = Hub(SETTINGS, nursery)
    nursery.start_soon(Stranger(hub).read_all)
    stuck = Stranger(hub, address="192.0.2.1")
    await publish(hub)
    assert stuck.why is NEVER_KEPT_UP
    again = Stranger(hub, address="192.0.2.1")
    await trio.sleep(KEEP)
    assert await publish(hub) == STALL_LIMIT
    assert again.why is SLOW


async def test_a_lone_listener_sets_the_pace_of_its_publisher(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    """However new it is, and although the room waits nearly always."""
    hub = Hub(SETTINGS, nursery)
    slow = Stranger(hub)

    async def read_slowly() -> None:
        async for _ in slow.subscription:
            slow.read += 1
            await trio.sleep(0.9)

    nursery.start_soon(read_slowly)
    assert await publish(hub, 100) > 80
    await trio.sleep(10)
    assert slow.read == 100 and slow.why is None
    nursery.cancel_scope.cancel()


async def test_a_newcomer_is_waited_for_while_most_others_are_busy_and_no_longer(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    hub = Hub(SETTINGS, nursery)
    stuck = Stranger(hub)
    await publish(hub, 3)
    busy = [Stranger(hub) for _ in range(3)]
    await publish(hub, 1)
    for member in busy:
        await anext(member.subscription)

    async def go_on() -> None:
        await trio.sleep(2)
        for member in busy:
            nursery.start_soon(member.read_all)

    nursery.start_soon(go_on)
    assert stuck.why is None
    assert 2 <= await publish(hub, 2) <= 2 + LOOK_AGAIN
    assert stuck.why is NEVER_KEPT_UP
    assert [member.read for member in busy] == [2, 2, 2]


async def test_who_leaves_holds_its_room_no_longer(autojump_clock: Clock, nursery: trio.Nursery) -> None:
    hub = Hub(SETTINGS, nursery)
    nursery.start_soon(Stranger(hub).read_all)
    stuck = Stranger(hub)
    await trio.sleep(NEWCOMER)

    async def leave() -> None:
        await trio.sleep(1)
        registry_of(hub).leave(stuck.room, stuck)
        stuck.outbox.close()

    nursery.start_soon(leave)
    assert await publish(hub) == 1
    assert stuck.why is None


async def test_those_who_are_full_together_go_together_and_let_others_run(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    hub = Hub(SETTINGS, nursery)
    reader = Stranger(hub)
    nursery.start_soon(reader.read_all)
    stuck = [Stranger(hub) for _ in range(10 * AT_ONCE)]
    passes: list[int] = []

    async def tick() -> None:
        while True:
            passes.append(sum(member.why is NEVER_KEPT_UP for member in stuck))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as ticking:
        ticking.start_soon(tick)
        for _ in range(10):
            await hub.publish("/", SIZE // 2 * "x")
        # Some of the stuck may still have been waited for when the last message was published, or the reader
        # was behind when it was looked whether the others are ready: then it is looked again after a while,
        # which does not pass by itself, because the ticking task is never blocked.
        for _ in range(100):
            if reader.read == 10 and all(member.why is not None for member in stuck):
                break
            for _ in range(len(stuck)):
                await trio.lowlevel.checkpoint()
            autojump_clock.jump(LOOK_AGAIN)
        ticking.cancel_scope.cancel()
    # In each pass of the scheduler either of the two tasks may come first.
    assert max(after - before for before, after in pairwise(passes)) <= 2 * AT_ONCE
    assert all(member.why is NEVER_KEPT_UP for member in stuck)
