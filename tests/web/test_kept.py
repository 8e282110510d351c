"""What is asked for again and again is worked out for a small share of the time only."""

from __future__ import annotations

from time import perf_counter

import trio
import trio.testing

from trioecho.web.kept import SHARE, Kept


def busy(seconds: float) -> float:
    """Work for so long; say when that was over."""
    until = perf_counter() + seconds
    while perf_counter() < until:
        pass
    return until


async def test_it_is_kept_in_proportion_to_what_it_took(mock_clock: trio.testing.MockClock) -> None:
    kept = Kept(lambda: busy(0.01))
    first = kept.get()
    assert kept.get() == first
    mock_clock.jump(SHARE * 0.01 * 0.9)
    assert kept.get() == first
    mock_clock.jump(SHARE * 0.01)
    assert kept.get() > first


async def test_asking_without_a_pause_takes_a_small_share(nursery: trio.Nursery) -> None:
    works: list[float] = []

    def work() -> int:
        works.append(busy(0.002))
        return len(works)

    kept = Kept(work)
    began = perf_counter()
    while perf_counter() - began < 0.5:
        kept.get()
    assert 0 < len(works) * 0.002 < 0.5 / SHARE * 1.5
