"""What strangers cause is logged up to a bound; what is beyond it is counted, and the count is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import trio
from helpers.log import LogBook
from helpers.server import kept_log
from trio.testing import MockClock

from trioecho.line_limiter import LineLimiter


@pytest.fixture
def log() -> Iterator[LogBook]:
    book = LogBook()
    with kept_log(book):
        yield book


async def test_so_many_lines_a_second_pass_and_the_rest_is_counted(
    log: LogBook, autojump_clock: MockClock
) -> None:
    limiter = LineLimiter(3)
    for number in range(10):
        limiter.log(logging.INFO, "refused", number=number)
    assert [entry["number"] for entry in log.find("refused")] == [0, 1, 2]
    assert not log.find("log-lines-left-out")
    await trio.sleep(1)
    limiter.log(logging.INFO, "refused", number=10)
    assert [entry["event"] for entry in log.entries] == ["refused"] * 3 + ["log-lines-left-out", "refused"]
    (said,) = log.find("log-lines-left-out")
    assert (said["kind"], said["count"], said["level"]) == ("refused", 7, "warning")


async def test_each_kind_has_a_bound_of_its_own(log: LogBook, autojump_clock: MockClock) -> None:
    limiter = LineLimiter(2)
    for _ in range(5):
        limiter.log(logging.INFO, "refused")
    limiter.log(logging.INFO, "vanished")
    assert len(log.find("refused")) == 2 and len(log.find("vanished")) == 1


async def test_what_is_not_logged_at_this_level_is_not_left_out(
    log: LogBook, autojump_clock: MockClock
) -> None:
    limiter = LineLimiter(1)
    logging.getLogger("trioecho").setLevel(logging.WARNING)
    for _ in range(5):
        limiter.log(logging.INFO, "refused")
    limiter.flush()
    assert not log.entries


async def test_the_count_is_logged_even_if_nothing_more_happens(
    log: LogBook, autojump_clock: MockClock
) -> None:
    limiter = LineLimiter(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(limiter.run)
        for _ in range(2):
            for _ in range(5):
                limiter.log(logging.INFO, "refused")
            await trio.sleep(0.99)
            assert not log.find("log-lines-left-out", count=4)[1:]
            await trio.sleep(60)
        assert [entry["count"] for entry in log.find("log-lines-left-out")] == [4, 4]
        nursery.cancel_scope.cancel()


async def test_at_the_end_the_count_can_be_logged_at_once(log: LogBook, autojump_clock: MockClock) -> None:
    limiter = LineLimiter(1)
    for _ in range(5):
        limiter.log(logging.INFO, "refused")
    limiter.flush()
    limiter.flush()
    assert [entry["count"] for entry in log.find("log-lines-left-out")] == [4]
