"""What is left of a shared room when it has ended: nothing, without the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from helpers.two_servers import two

from trioecho import open_client
from trioecho.engine.feed import Feed
from trioecho.engine.room_log import RoomLog
from trioecho.rooms.shared_room import SharedRoom

OURS = (Feed, RoomLog, SharedRoom)


@pytest.fixture(autouse=True)
def without_the_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive() -> int:
    """Return how many objects there are of those that a shared room is made of."""
    return sum(type(each) in OURS for each in gc.get_objects())


@pytest.mark.parametrize("order", ["room", "node"])
async def test_a_room_that_ends_leaves_nothing(tmp_path: Path, order: str) -> None:
    before = alive()
    async with two(tmp_path, order=order) as (_, one, other):
        for number in range(5):
            async with (
                open_client(f"{one.url}{number}") as a,
                open_client(f"{one.url}{number}", resume=True) as b,
                open_client(f"{other.url}{number}?last=5") as c,
                one.hub.subscribe(f"/{number}") as application,
            ):
                await a.send("said")
                assert await b.receive() == await c.receive() == await anext(application) == "said"
            del a, b, c, application
        with trio.fail_after(10):
            while one.hub.rooms or other.hub.rooms or alive() > before:  # noqa: ASYNC110 - nothing else tells
                await trio.sleep(0.02)
