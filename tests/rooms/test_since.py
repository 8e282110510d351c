"""
Joining at a place in the past, against a model: the list of all that a room has said.

Whoever comes back with the place that its last message, or notice, left it at gets every message since, in
order and once; or is told exactly how many of them are no longer known.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from helpers.streams import Connect, lockstep, open_wire, sockets
from helpers.taker import Taker, told
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.direct_outbox import DirectOutbox
from trioecho.rooms.hub import Hub, registry_of
from trioecho.rooms.notice import Notice
from trioecho.rooms.place import Place
from trioecho.rooms.registry import Registry
from trioecho.rooms.since import Since
from trioecho.settings import Settings

BOUNDS = {"history": 20, "history_bytes": 4_000, "max_pending_bytes": 2_000, "max_message_size": 200}


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple[str, int]]:
    """Draw what happens: messages, time, and one who comes, takes, and is gone."""
    steps = st.one_of(
        st.tuples(st.just("say"), st.integers(1, 15)),
        st.tuples(st.just("take"), st.integers(1, 4)),
        st.tuples(st.just("turns"), st.integers(1, 3)),
        st.tuples(st.just("leave"), st.just(0)),
        st.tuples(st.just("come"), st.just(0)),
        st.tuples(st.just("come and take nothing"), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 80)),
        st.tuples(st.just("restart"), st.just(0)),
    )
    return draw(st.lists(steps, max_size=40))


@pytest.mark.parametrize("when_slow", ["drop-oldest", "drop-newest", "wait"])
@pytest.mark.parametrize("stays", [True, False], ids=["others stay", "nobody else"])
def test_whoever_comes_back_gets_everything_once_or_is_told(when_slow: Any, stays: bool) -> None:
    @settings(deadline=None, max_examples=80)
    @given(scripts(), st.sampled_from([0, 3, 20, 1000]))
    def check(script: list[tuple[str, int]], history: int) -> None:
        options: Any = {**BOUNDS, "history": history, "when_slow": when_slow}
        trio.run(play, script, options, stays, clock=trio.testing.MockClock(autojump_threshold=0))

    check()


async def play(script: list[tuple[str, int]], options: Any, stays: bool) -> None:
    """Play a script, and hold what was heard against what was said."""
    said: list[str] = []
    unknown = 0
    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            registry = Registry(Settings(**options), nursery)
            place: Place | None = None
            taker: Taker | None = None
            heard: list[str] = []
            missed: list[int | None] = []

            def gather() -> None:
                nonlocal taker, place
                if taker is not None:
                    heard.extend(taker.heard)
                    missed.extend(taker.missed)
                    place = taker.place or place
                    taker.leave()
                    taker = None

            async def listen(one: Taker) -> None:
                while True:
                    await one.outbox.receive()

            if stays:
                nursery.start_soon(listen, Taker(registry, "/", None))
            begun_at: int | None = None
            for step, count in script:
                if step == "say":
                    for _ in range(count):
                        text = f"{len(said):06} ".ljust(10 + len(said) * 37 % 150, "x")
                        await registry.relay("/", frames.encode(text))
                        said.append(text)
                elif step == "take" and taker is not None:
                    await taker.take(count)
                elif step == "turns":
                    for _ in range(count):
                        await trio.lowlevel.checkpoint()
                elif step == "wait":
                    await trio.testing.wait_all_tasks_blocked()
                    await trio.sleep(count / 10)
                elif step == "leave":
                    gather()
                elif step.startswith("come") and taker is None:
                    if place is None:
                        # Whoever is there for the first time hears what is fanned out from now on.
                        await trio.testing.wait_all_tasks_blocked()
                        begun_at = len(said) if begun_at is None else begun_at
                    taker = Taker(registry, "/", None if place is None else Since(place))
                    if step == "come":
                        await taker.take(1)
                    elif place is None:
                        begun_at = None
                        taker.leave()
                        taker = None
                elif step == "restart" and begun_at is not None and taker is None and place is not None:
                    # The room fails and begins anew: a new epoch, and nothing is remembered.
                    await trio.testing.wait_all_tasks_blocked()
                    place = Place("zzzzzzzz", 10**14)
                    unknown += 1
                    break
            gather()
            if begun_at is not None and place is not None:
                # At last it comes back and takes all there is.
                last = Taker(registry, "/", Since(place))
                await trio.testing.wait_all_tasks_blocked()
                while last.outbox.owes:
                    await last.take(1)
                    await trio.testing.wait_all_tasks_blocked()
                heard += last.heard
                missed += last.missed
                if last.ended is None:
                    hold(said[begun_at:], heard, missed, unknown)
            nursery.cancel_scope.cancel()


def hold(said: list[str], heard: list[str], missed: list[int | None], unknown: int) -> None:
    """Hold what was heard against all that was said since the beginning."""
    assert len([each for each in missed if each is None]) == unknown
    numbers = [int(text.split()[0]) for text in heard]
    if not unknown:
        assert numbers == sorted(set(numbers)), "out of order, or twice"
        assert set(heard) <= set(said)
        assert len(heard) + sum(each or 0 for each in missed) == len(said)


@asynccontextmanager
async def slow_reader(
    connect: Connect, registry: Registry, nursery: trio.Nursery, since: Since
) -> AsyncIterator[tuple[Taker, Callable[[int], Awaitable[None]]]]:
    """A member over a wire, and a function that reads so many bytes of what is written to it."""

    class Written(Taker):
        outbox: DirectOutbox

        def start_writer(self) -> None:
            nursery.start_soon(self.write)

        async def write(self) -> None:
            with suppress(trio.ClosedResourceError):  # the test is over
                await self.outbox.drain()

    async with connect() as (near, far):
        wire = open_wire(near)

        class Own:
            def __getattr__(self, name: str) -> Any:
                return getattr(member, name)

        outbox = DirectOutbox(Own(), registry.settings, wire)
        member = Written(registry, "/", since, outbox)
        received = bytearray()

        async def read(size: int) -> None:
            data = await far.receive_some(size)
            assert data
            received.extend(data)
            end = 0
            while len(received) - end >= 2:
                following = frames.split(bytes(received), end)
                if following is None:
                    break
                end = following[2]
            member.hear(bytes(received[:end]))
            del received[:end]

        yield member, read


@pytest.mark.parametrize("connect", [sockets, lockstep])
@pytest.mark.parametrize("size", [1_000, 60_000])
async def test_there_is_no_gap_however_slow_the_client_and_however_busy_the_room(
    nursery: trio.Nursery, connect: Connect, size: int
) -> None:
    """Under ``wait`` the room waits for one who is still reading the past, as for everybody."""
    registry = Registry(Settings(history=1000, history_bytes=2**30, stall_limit=3600), nursery)
    with registry.hold("/") as room:
        for number in range(100):
            await registry.relay("/", frames.encode(f"{number} ".ljust(size, "x")))
        await room.flush()
        said = 100
        async with slow_reader(connect, registry, nursery, Since(Place(room.history.epoch, 30))) as (
            one,
            read,
        ):
            one.outbox.open()  # type: ignore[attr-defined]

            async def talk() -> None:
                nonlocal said
                for number in range(100, 200):
                    await registry.relay("/", frames.encode(f"{number} ".ljust(size, "x")))
                    said += 1

            nursery.start_soon(talk)
            while len(one.heard) < 170:
                await read(20_000)
            assert [int(text.split()[0]) for text in one.heard] == list(range(30, 200))
            assert one.missed == [0]
            assert one in room.members and not room.coming
    nursery.cancel_scope.cancel()


async def test_a_long_past_is_read_page_by_page_and_what_is_forgotten_meanwhile_is_told(
    nursery: trio.Nursery,
) -> None:
    registry = Registry(Settings(history=100_000, history_bytes=2**22, max_pending_bytes=2**20), nursery)
    with registry.hold("/") as room:
        for number in range(3_000):
            await registry.relay("/", frames.encode(f"{number} ".ljust(1_000, "x")))
        await room.flush()
        async with slow_reader(lockstep, registry, nursery, Since(Place(room.history.epoch, 0))) as (
            one,
            read,
        ):
            one.outbox.open()  # type: ignore[attr-defined]
            assert one.outbox.pending_bytes < 2**20
            assert one in room.coming and one not in room.members
            await read(100_000)
            for number in range(3_000, 6_000):
                await registry.relay("/", frames.encode(f"{number} ".ljust(1_000, "x")))
            await room.flush()
            while len(one.heard) + sum(one.missed) < 6_000:  # type: ignore[arg-type]
                await read(100_000)
                assert one.outbox.pending_bytes < 2**20
            assert one.place == room.history.place
            assert [int(text.split()[0]) for text in one.heard][-1] == 5_999
            assert len(one.heard) > 2_000 and len(one.missed) >= 2
            await trio.testing.wait_all_tasks_blocked()
            assert one in room.members
    nursery.cancel_scope.cancel()


async def test_what_is_still_to_come_of_the_past_is_delivered_by_a_drain(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(history=100_000, history_bytes=2**24, max_pending_bytes=2**20), nursery)
    with registry.hold("/") as room:
        for number in range(3_000):
            await registry.relay("/", frames.encode(f"{number} ".ljust(1_000, "x")))
        await room.flush()
        async with slow_reader(lockstep, registry, nursery, Since(Place(room.history.epoch, 0))) as (
            one,
            read,
        ):
            one.outbox.open()  # type: ignore[attr-defined]
            await trio.testing.wait_all_tasks_blocked()
            one.outbox.close(drain=True)
            async with trio.open_nursery() as reading:

                async def read_all() -> None:
                    while len(one.heard) < 3_000:
                        await read(100_000)

                reading.start_soon(read_all)
                await one.outbox.wait_caught_up()
            assert [int(text.split()[0]) for text in one.heard] == list(range(3_000))
    nursery.cancel_scope.cancel()


async def test_the_last_ones_can_be_asked_for(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(history=10), nursery)
    with registry.hold("/") as room:
        for number in range(7):
            await registry.relay("/", frames.encode(str(number)))
        await room.flush()
        for last, expected in ((0, []), (1, ["6"]), (3, ["4", "5", "6"]), (10**9, [*"0123456"])):
            taker = Taker(registry, "/", Since(last=last))
            await taker.take(100)
            assert taker.heard == expected
            assert taker.missed == [0]
            assert taker.place == room.history.place
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kept", [0, 5])
async def test_a_place_that_is_none_of_the_rooms_is_answered_with_what_there_is(
    nursery: trio.Nursery, kept: int
) -> None:
    registry = Registry(Settings(history=kept), nursery)
    with registry.hold("/") as room, registry.hold("/other") as other:
        for number in range(5):
            await registry.relay("/", frames.encode(str(number)))
            await registry.relay("/other", frames.encode("a secret"))
        await room.flush()
        await other.flush()
        for place in (Place("zzzzzzzz", 3), Place(room.history.epoch, 6), other.history.place, Place("", 0)):
            taker = Taker(registry, "/", Since(place))
            await taker.take(100)
            assert taker.heard == [*"01234"][:kept]
            assert taker.missed == [None]
            assert taker.place == room.history.place
        assert registry.counters.places_unknown == 4
    nursery.cancel_scope.cancel()


async def test_what_was_forgotten_is_counted(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(history=0), nursery)
    with registry.hold("/") as room:
        for number in range(17):
            await registry.relay("/", frames.encode(str(number)))
        await room.flush()
        taker = Taker(registry, "/", Since(Place(room.history.epoch, 0)))
        await taker.take(100)
        assert (taker.heard, taker.missed) == ([], [17])
        assert registry.counters.messages_missed == 17
    nursery.cancel_scope.cancel()


async def test_one_who_leaves_while_it_reads_the_past_leaves_nothing(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(history=100_000, history_bytes=2**24, max_pending_bytes=2**20), nursery)
    with registry.hold("/") as room:
        for _ in range(3_000):
            await registry.relay("/", frames.encode("x" * 1_000))
        await room.flush()
        taker = Taker(registry, "/", Since(Place(room.history.epoch, 0)))
        await taker.take(2)
        assert taker in room.coming
    assert registry.rooms == {"/": 1}, "it keeps the room open"
    taker.leave()
    assert registry.rooms == {}
    assert not taker.outbox.owes and taker.outbox.pending_bytes == 0
    nursery.cancel_scope.cancel()


async def test_a_notice_in_a_queue_is_no_message(nursery: trio.Nursery) -> None:
    registry = Registry(Settings(), nursery)
    taker = Taker(registry, "/", None)
    await taker.take(1)
    assert (taker.outbox.sent, taker.outbox.unsent, taker.outbox.pending_bytes) == (0, 0, 0)
    notice = Notice(told, Place("k3x9f2aa", 3), 2)
    batch = Batch(Origin.FANNED_OUT, frames.encode("x"), 1)
    batch.epoch, batch.offset = "k3x9f2aa", 3
    notice.add(batch)
    assert notice.encoded(None) == told(Place("k3x9f2aa", 4), 3)
    notice.add(Notice(told, Place("k3x9f2aa", 9), None))
    assert notice.encoded(None) == told(Place("k3x9f2aa", 9), None)
    nursery.cancel_scope.cancel()


async def test_those_who_are_coming_in_count_as_there() -> None:
    async with trio.open_nursery() as nursery:
        hub = Hub(Settings(history_bytes=2**23), nursery)
        async with hub.subscribe("/") as first:
            await hub.publish("/", "0")
            assert await anext(first) == "0"
            place = first.place
            for _ in range(40):
                await hub.publish("/", 100_000 * "x")
                await anext(first)
            assert place is not None
            async with hub.subscribe("/", after=place) as late:
                room = registry_of(hub).room("/")
                assert room is not None and len(room.coming) == 1
                assert room.size == 2 and hub.rooms == {"/": 2}
                for _ in range(40):
                    await anext(late)
                assert room.size == 2 == len(room.members)
            assert hub.rooms == {"/": 1}
        nursery.cancel_scope.cancel()
