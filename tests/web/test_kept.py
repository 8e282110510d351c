"""What is asked for again and again is worked out for a small share of the time only, and in slices."""

from __future__ import annotations

from time import perf_counter

import trio
import trio.testing
from helpers.passes import passes

from trioecho.web.kept import SHARE, SLICE, Kept, Slices


def busy(seconds: float) -> float:
    """Work for so long; say when that was over."""
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass
    return until


async def test_it_is_kept_in_proportion_to_what_it_took(mock_clock: trio.testing.MockClock) -> None:
    async def work(slices: Slices) -> float:
        return busy(0.01)

    kept, began = Kept(work), perf_counter()
    first = await kept.get()
    took = perf_counter() - began  # on a busy machine much longer than the work
    assert await kept.get() == first
    mock_clock.jump(SHARE * 0.01 * 0.9)
    assert await kept.get() == first
    mock_clock.jump(SHARE * took)
    assert await kept.get() > first


async def test_it_is_kept_no_longer_than_it_may_be(mock_clock: trio.testing.MockClock) -> None:
    async def work(slices: Slices) -> float:
        return busy(0.05)

    kept = Kept(work, longest=0.1)
    first = await kept.get()
    mock_clock.jump(0.09)
    assert await kept.get() == first
    mock_clock.jump(0.02)
    assert await kept.get() > first


async def test_asking_without_a_pause_takes_a_small_share() -> None:
    works: list[float] = []

    async def work(slices: Slices) -> int:
        works.append(busy(0.002))
        return len(works)

    kept = Kept(work)
    began = perf_counter()
    while perf_counter() - began < 0.5:
        await kept.get()
    assert 0 < len(works) * 0.002 < 0.5 / SHARE * 1.5


async def test_others_get_their_turn_meanwhile_and_get_the_same_if_they_ask(nursery: trio.Nursery) -> None:
    works, taken, got = 0, 0, list[int]()

    def take(thing: int) -> None:
        nonlocal taken
        taken += 1

    async def work(slices: Slices) -> int:
        nonlocal works
        works += 1
        await slices.each(range(10 * SLICE), take)
        busy(0.01)  # so that it is fresh when the others look
        return works

    async def ask() -> None:
        got.append(await kept.get())

    kept = Kept(work)
    for _ in range(5):
        nursery.start_soon(ask)
    assert max(await passes(lambda: len(got) == 5, lambda: taken)) <= 2 * SLICE
    assert (got, taken) == ([1] * 5, 10 * SLICE)


async def test_the_turns_of_others_do_not_count_as_work(nursery: trio.Nursery) -> None:
    async def work(slices: Slices) -> int:
        await slices.each(range(6 * SLICE), lambda thing: None)
        assert slices.waited > 0.04
        return 1

    async def keep_busy() -> None:
        while True:
            busy(0.02)
            await trio.lowlevel.checkpoint()

    nursery.start_soon(keep_busy)
    assert await Kept(work).get() == 1
    nursery.cancel_scope.cancel()


async def test_if_the_work_has_to_wait_all_who_ask_wait_twice_at_most(
    autojump_clock: trio.testing.MockClock,
) -> None:
    works = 0

    async def work(slices: Slices) -> int:
        nonlocal works
        works += 1
        with slices.waiting():
            await trio.sleep(10)
        return works

    kept, got = Kept(work, longest=0.0), list[int]()

    async def ask(at: float) -> None:
        await trio.sleep(at)
        got.append(await kept.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0.0)
        for _ in range(100):
            nursery.start_soon(ask, 5.0)
    assert trio.current_time() == 20
    assert got == [1, *[2] * 100], "what was begun before they asked is not for them"
