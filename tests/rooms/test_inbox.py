"""The inbox: bounded in bytes, first come first served, and it knows what has been delivered."""

from __future__ import annotations

import trio
import trio.testing

from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.inbox import Inbox


def batch(number: int) -> Batch:
    return Batch(Origin.APPLICATION, f"{number:100}".encode(), 1)


async def test_publishers_wait_in_line_when_it_is_full_and_come_in_turn(nursery: trio.Nursery) -> None:
    inbox = Inbox(1)
    batches = [batch(number) for number in range(4)]
    for each in batches:
        nursery.start_soon(inbox.put, each)
        await trio.testing.wait_all_tasks_blocked()
    for each in batches:
        assert inbox.take() is each
        assert inbox.take() is None
        inbox.admit()
        await trio.testing.wait_all_tasks_blocked()


async def test_flush_waits_for_what_was_there_before_and_for_no_more(nursery: trio.Nursery) -> None:
    inbox = Inbox(10_000)
    flushed: list[str] = []

    async def flush(name: str) -> None:
        await inbox.flush()
        flushed.append(name)

    await flush("nothing to wait for")
    for number in range(2):
        await inbox.put(batch(number))
    nursery.start_soon(flush, "two")
    await trio.testing.wait_all_tasks_blocked()
    await inbox.put(batch(2))
    nursery.start_soon(flush, "three")
    for delivered, expected in ((1, []), (1, ["two"]), (1, ["two", "three"])):
        inbox.delivered(delivered)
        await trio.testing.wait_all_tasks_blocked()
        assert flushed == ["nothing to wait for", *expected]


async def test_flush_waits_also_for_those_in_the_line_before_it(nursery: trio.Nursery) -> None:
    inbox = Inbox(1)
    flushed = trio.Event()

    async def flush() -> None:
        await inbox.flush()
        flushed.set()

    for number in range(2):
        nursery.start_soon(inbox.put, batch(number))
        await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(flush)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(inbox.put, batch(2))  # after it: it is not waited for
    for _ in range(2):
        assert not flushed.is_set()
        assert inbox.take() is not None
        inbox.admit()
        await trio.testing.wait_all_tasks_blocked()
        inbox.delivered(1)
        await trio.testing.wait_all_tasks_blocked()
    assert flushed.is_set()


async def test_a_publisher_that_is_cancelled_in_the_line_has_brought_nothing() -> None:
    inbox = Inbox(1)
    await inbox.put(batch(0))
    with trio.move_on_after(0):
        await inbox.put(batch(1))
    assert inbox.take() is not None
    inbox.admit()
    assert await inbox.put(batch(2))
    taken = inbox.take()
    assert taken is not None and taken.frames == batch(2).frames


async def test_a_closed_inbox_takes_nothing_and_lets_everybody_go(nursery: trio.Nursery) -> None:
    inbox = Inbox(1)
    taken: list[bool] = []

    async def put(number: int) -> None:
        taken.append(await inbox.put(batch(number)))

    for number in range(3):
        nursery.start_soon(put, number)
        await trio.testing.wait_all_tasks_blocked()
    async with trio.open_nursery() as waiting:
        waiting.start_soon(inbox.flush)
        await trio.testing.wait_all_tasks_blocked()
        inbox.close()
    assert taken == [True, False, False]
    assert inbox.take() is None
    assert not await inbox.put(batch(3))
    await inbox.flush()
