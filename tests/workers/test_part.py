"""What one of several workers may do, of what all may do together."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioecho.options import declared
from trioecho.rates import Rate
from trioecho.settings import Settings
from trioecho.workers.part import part_of


@given(st.integers(0, 10_000), st.integers(1, 128))
def test_all_parts_together_are_enough_and_none_is_more_than_the_whole(limit: int, workers: int) -> None:
    part = part_of(Settings(max_connections_per_address=limit), workers).max_connections_per_address
    assert part <= limit <= part * workers
    assert (part == 0) == (limit == 0)  # 0 is any number


def test_the_figures_of_the_manual() -> None:
    part = part_of(Settings(max_connections_per_address=100, max_connections=1001, max_memory=2**30), 4)
    assert part.max_connections_per_address == 38 and part.max_connections == 251
    assert part.max_memory == 2**28


def test_one_worker_has_all() -> None:
    settings = Settings(max_connections_per_address=7, connection_rate_per_address="10/s:50")
    assert part_of(settings, 1).max_connections_per_address == 7
    assert part_of(settings, 1).connection_rate_per_address == Rate(10, 50)


def test_rates_are_divided_and_what_may_come_at_once_as_chance_has_it() -> None:
    part = part_of(Settings(connection_rate_per_address="10/s:100", room_rate_per_address="1/h"), 4)
    assert part.connection_rate_per_address == Rate(2.5, 38)
    assert part.room_rate_per_address == Rate(1 / 3600 / 4, 1)
    assert part.rate is None


def test_nothing_that_one_address_or_one_name_may_do_is_forgotten() -> None:
    limits = [name for name in declared(Settings) if "_per_" in name]
    assert len(limits) == 4
    given: dict[str, Any] = {name: 100 if "max" in name else "10/s:100" for name in limits}
    settings = replace(Settings(), **given)
    part = part_of(settings, 4)
    for name in limits:
        assert getattr(part, name) == (38 if "max" in name else Rate(2.5, 38)), name


@pytest.mark.parametrize("limit", [10, 100, 1000])
@pytest.mark.parametrize("workers", [2, 4, 16])
def test_who_keeps_to_the_limit_is_seldom_refused(limit: int, workers: int) -> None:
    part = part_of(Settings(max_connections_per_address=limit), workers).max_connections_per_address
    chance, over = random.Random(1), 0
    for _ in range(500):
        spread = Counter(chance.randrange(workers) for _ in range(limit))
        over += max(spread.values()) > part
    assert over <= 500 * 0.05
