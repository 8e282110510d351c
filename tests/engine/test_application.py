"""What an application does with shared rooms: publishing without waiting, to some only, and who said it."""

from __future__ import annotations

import logging
import signal
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from helpers.http_client import fetch
from helpers.two_servers import two

from trioecho import SourcedSubscription, open_client, open_hub
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.hub import registry_of
from trioecho.rooms.message import encoded_message
from trioecho.rooms.shared_room import SharedRoom

TEXT = {"Content-Type": "text/plain"}


async def sources(subscription: SourcedSubscription, count: int) -> list[tuple[Any, str, bool]]:
    """Return the next messages, where each came from, and whether it is known from whom."""
    heard = [await anext(subscription) for _ in range(count)]
    return [(each.message, each.origin, each.member is not None) for each in heard]


async def test_a_source_is_known_on_the_server_that_took_the_message(tmp_path: Path) -> None:
    async with (
        two(tmp_path) as (_, one, other),
        one.hub.subscribe("/x", sources=True) as here,
        other.hub.subscribe("/x", sources=True) as there,
        open_client(f"{one.url}x") as client,
    ):
        await client.send("from a client")
        await client.ping()  # or the POST could be first
        assert (await fetch(one.url, "/x", method="POST", body=b"posted", headers=TEXT)).status == 202
        await one.hub.publish("/x", "from the application")
        assert await sources(here, 3) == [
            ("from a client", "member", True),
            ("posted", "post", True),
            ("from the application", "application", False),
        ]
        assert await sources(there, 3) == [
            (text, "elsewhere", False) for text in ("from a client", "posted", "from the application")
        ]


async def test_a_member_is_excluded_by_its_own_server_and_by_no_other(tmp_path: Path) -> None:
    async with (
        two(tmp_path) as (_, one, other),
        open_client(f"{one.url}x") as ann,
        open_client(f"{one.url}x") as bo,
        open_client(f"{other.url}x") as eve,
    ):
        (is_ann, _), (is_eve,) = one.hub.members("/x"), other.hub.members("/x")
        assert await one.hub.publish("/x", "not to ann", exclude=is_ann) == 1
        assert one.hub.publish_nowait("/x", "nor this", exclude=[is_ann]) == 1
        assert await one.hub.publish("/x", "eve is not of here", exclude=is_eve) == 2
        everything = ["not to ann", "nor this", "eve is not of here"]
        assert [await bo.receive() for _ in range(3)] == [await eve.receive() for _ in range(3)] == everything
        assert await ann.receive() == "eve is not of here"


async def test_what_is_published_without_waiting_is_in_order_with_the_rest(tmp_path: Path) -> None:
    async with (
        two(tmp_path) as (_, one, other),
        one.hub.subscribe("/x") as here,
        other.hub.subscribe("/x") as there,
    ):
        for number in range(0, 100, 2):
            await one.hub.publish("/x", f"{number}")
            assert one.hub.publish_nowait("/x", f"{number + 1}") == 1
        expected = [f"{number}" for number in range(100)]
        assert [await anext(here) for _ in range(100)] == expected
        assert [await anext(there) for _ in range(100)] == expected
        assert one.hub.publish_nowait("/elsewhere", "nobody is here") == 0


async def test_what_the_engine_does_not_take_is_refused_and_what_was_taken_comes(tmp_path: Path) -> None:
    """The engine stands still: what is on its way to it is bounded, and one who does not wait is told so."""
    async with two(tmp_path, max_pending_bytes=2**20, engine_patience=60) as (engine, one, other):
        async with one.hub.subscribe("/x") as here, other.hub.subscribe("/x") as there:
            engine.signal(signal.SIGSTOP)
            taken = 0
            with pytest.raises(trio.WouldBlock):
                while taken < 10_000:
                    one.hub.publish_nowait("/x", f"{taken} {9_000 * 'x'}")
                    taken += 1
            assert 50 < taken < 1000
            engine.signal(signal.SIGCONT)
            for heard in (here, there):
                numbers = [int(str(await anext(heard)).split()[0]) for _ in range(taken)]
                assert numbers == list(range(taken))
            assert one.hub.publish_nowait("/x", "the last") == 1
            assert await anext(here) == await anext(there) == "the last"


async def test_a_room_that_ends_as_a_message_comes_ends_without_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(tmp_path) as (engine, _, _), open_hub(engine=engine.url) as hub:
        async with hub.subscribe("/x"):
            room = registry_of(hub).room("/x")
            assert isinstance(room, SharedRoom)
            await trio.testing.wait_all_tasks_blocked()
            room.deliver(Batch(Origin.ELSEWHERE, encoded_message("late", 1000), 1))
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
