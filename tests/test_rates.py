"""Rates as they are written, and buckets against a slow and exact model, in virtual time."""

from __future__ import annotations

from fractions import Fraction

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trioecho.options import OptionError
from trioecho.rates import Rate, TokenBucket


@pytest.mark.parametrize(
    ("text", "sizes", "rate"),
    [
        ("20/s", False, Rate(20, 20)),
        ("100/m", False, Rate(100 / 60, 100)),
        ("0.5/s", False, Rate(0.5, 1)),
        ("7200/h", False, Rate(2, 7200)),
        ("20/s:40", False, Rate(20, 40)),
        (" 20/s:1 ", False, Rate(20, 1)),
        ("256KiB/s", True, Rate(262_144, 262_144)),
        ("256kib/s:1MiB", True, Rate(262_144, 2**20)),
        ("0.5MiB/s:100", True, Rate(524_288, 100)),
        ("100B/s", True, Rate(100, 100)),
    ],
)
def test_how_a_rate_is_written(text: str, sizes: bool, rate: Rate) -> None:
    assert Rate.parse(text, sizes=sizes) == rate


@pytest.mark.parametrize(
    "text",
    "|20|20/|/s|20/d|20 /s|-1/s|0/s|0.0/s|20/s:|20/s:0|20/s:0.5|1e3/s|20/s:x|20/s40|\u0662/s|nan/s|inf/s"
    "|20KiB/s|20/s:1MiB|9999999999999/s|20/s:9999999999999".split("|"),
)
def test_what_is_no_rate_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        Rate.parse(text, option="rate_connections")
    assert caught.value.option == "rate_connections"
    assert "\n" not in str(caught.value)


def test_a_size_has_only_units_of_bytes() -> None:
    with pytest.raises(OptionError, match="256KiB/s"):
        Rate.parse("20KB/s", option="rate_bytes", sizes=True)


# Powers of two, so that the floats of the bucket are as exact as the model's fractions.
rates = st.tuples(st.sampled_from([1, 2, 4, 16]), st.integers(1, 20))
steps = st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.integers(1, 30)), min_size=1, max_size=30)


@given(rates, steps)
def test_a_bucket_holds_what_an_exact_one_would(
    rate: tuple[int, int], steps: list[tuple[int, bool, int]]
) -> None:
    per_second, burst = rate

    async def main() -> None:
        bucket = TokenBucket(Rate(per_second, burst))
        level = Fraction(burst)
        for ticks, spend, amount in steps:
            clock.jump(ticks / 64)
            level = min(Fraction(burst), level + Fraction(ticks * per_second, 64))
            if spend:
                level -= amount
                assert bucket.spend(amount) == pytest.approx(max(0.0, float(-level)) / per_second, abs=1e-5)
            else:
                wait = max(Fraction(0), (min(amount, burst) - level) / per_second)
                assert bucket.take(amount) == pytest.approx(float(wait), abs=1e-5)
                level -= 0 if wait else amount

    clock = MockClock()
    trio.run(main, clock=clock)


@given(st.floats(1e-3, 1e9), st.floats(1, 1e9), st.lists(st.floats(0.01, 1e6), min_size=1, max_size=20))
def test_the_wait_that_is_told_is_enough(per_second: float, burst: float, amounts: list[float]) -> None:
    async def main() -> None:
        bucket = TokenBucket(Rate(per_second, burst))
        for amount in amounts:
            if wait := bucket.take(amount):
                clock.jump(wait)
                assert bucket.take(amount) == 0

    clock = MockClock()
    trio.run(main, clock=clock)


async def test_asking_often_loses_no_time(mock_clock: MockClock) -> None:
    """Whoever asks a thousand times a second gets as much in the end as who asks once."""
    bucket = TokenBucket(Rate(10, 1))
    taken = 0
    for _ in range(10_000):
        taken += not bucket.take()
        mock_clock.jump(0.001)
    assert 100 <= taken <= 101


async def test_more_than_a_burst_passes_when_the_bucket_is_full_and_is_owed_then(
    mock_clock: MockClock,
) -> None:
    bucket = TokenBucket(Rate(10, 5))
    assert bucket.take(25) == 0
    assert bucket.take() == pytest.approx(2.1)
    mock_clock.jump(2.2)
    assert bucket.take() == 0


async def test_a_pause_gives_no_more_than_a_burst(mock_clock: MockClock) -> None:
    bucket = TokenBucket(Rate(10, 5))
    mock_clock.jump(1e6)
    assert [bucket.take() > 0 for _ in range(6)] == [False] * 5 + [True]


def test_a_rate_may_stand_as_text() -> None:
    rate = Rate(per_second=2, burst=2)
    assert Rate.of("2/s") == Rate.of(rate) == rate
    assert Rate.of(None) is None
