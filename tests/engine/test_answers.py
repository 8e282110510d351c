"""What a node answers to who asks all nodes: whatever goes wrong with one answer, the next is given."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

pytest.importorskip("hiredis", reason="needs hiredis: pip install 'trioecho[redis]'")

from trioecho.engine.answers import MOST_ASKERS, Answers, question_channel

CHANNEL = question_channel("te1")


def asker(number: int) -> bytes:
    return b"%08d" % number


async def test_answers_that_fail_are_logged_and_the_next_is_given(caplog: pytest.LogCaptureFixture) -> None:
    worked = 0

    async def fail() -> bytes:
        nonlocal worked
        worked += 1
        raise LookupError("a bug")

    answers = Answers("te1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answers.run, fail)
        for number in range(2 * MOST_ASKERS):
            answers.heard(CHANNEL, asker(number))
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert worked == 2 * MOST_ASKERS
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == worked


async def test_the_second_answers_when_the_first_has_ended() -> None:
    worked: list[str] = []

    async def one() -> bytes:
        worked.append("one")
        return b""

    async def two() -> bytes:
        worked.append("two")
        return b""

    answers = Answers("te1")
    async with trio.open_nursery() as nursery:
        first = trio.CancelScope()

        async def run_first() -> None:
            with first:
                await answers.run(one)

        nursery.start_soon(run_first)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(answers.run, two)
        for number in range(4):
            if number == 2:
                first.cancel()
                await trio.testing.wait_all_tasks_blocked()
            answers.heard(CHANNEL, asker(number))
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert worked == ["one", "one", "two", "two"]
