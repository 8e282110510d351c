"""A client that sends more than its rate is read no faster, or disconnected; others feel nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from helpers.raw_peer import TEXT, frame, joined
from helpers.server import serving
from helpers.streams import memory
from helpers.traffic import Seen
from helpers.virtual_server import Peer, served

TEXTS = [str(number) for number in range(20)]


async def heard_at(peer: Peer, heard: list[tuple[float, Seen]]) -> None:
    while (seen := await peer.next()) != ("end", None):
        heard.append((trio.current_time(), seen))


@pytest.mark.parametrize(
    "options", [{"rate": "2/s:4"}, {"rate_bytes": "6/s:12"}, {"rate": "2/s:4", "rate_bytes": "1KiB/s"}]
)
async def test_over_its_rate_a_client_is_slowed_and_loses_nothing(
    options: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    """Frames of one character are three bytes, so both rates are two messages a second."""
    async with served(memory, **options) as (server, join), trio.open_nursery() as nursery:
        sender, reader = await join("/"), await join("/")
        heard: list[tuple[float, Seen]] = []
        began = trio.current_time()
        nursery.start_soon(heard_at, reader, heard)
        await sender.send(*[text[-1] for text in TEXTS])
        await trio.sleep(20)
        assert [seen for _, seen in heard] == [("text", text[-1]) for text in TEXTS]
        for number, (time, _) in enumerate(heard):
            assert time - began == pytest.approx(max(0, number - 3) / 2, abs=0.01)
        assert server.counters.disconnected == {}
        nursery.cancel_scope.cancel()


async def test_the_keepalive_does_not_take_a_slowed_client_for_dead(
    autojump_clock: trio.testing.MockClock,
) -> None:
    options: dict[str, Any] = {"rate": "1/s:1", "ping_interval": 1, "ping_timeout": 1}
    async with served(memory, **options) as (server, join), trio.open_nursery() as nursery:
        sender = await join("/")
        await sender.send(*TEXTS)
        nursery.start_soon(sender.rest)
        await trio.sleep(18.5)
        assert server.counters.disconnected == {}
        assert server.hub.rooms == {"/": 1}
        nursery.cancel_scope.cancel()


async def test_over_its_rate_a_client_is_disconnected_where_that_is_asked_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        served(memory, rate="2/s:4", over_rate="disconnect") as (server, join),
        trio.open_nursery() as nursery,
    ):
        sender, reader, other = await join("/"), await join("/"), await join("/")
        heard: list[Seen] = []
        nursery.start_soon(reader.listen, heard)
        for text in TEXTS[:8]:
            await other.send(text)
            await trio.sleep(0.5)
        await sender.send(*TEXTS)
        assert (await sender.rest())[-1] == ("close", 1008)
        await trio.testing.wait_all_tasks_blocked()
        assert server.counters.disconnected == {"over-rate": 1}
        assert server.counters.messages_discarded == len(TEXTS) - 4
        assert heard == [("text", text) for text in [*TEXTS[:8], *TEXTS[:4]]]
        assert server.hub.rooms == {"/": 2}
        nursery.cancel_scope.cancel()


async def test_a_slowed_client_does_not_hold_up_a_shutdown(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory, rate="1/h:1") as (server, join), trio.open_nursery() as nursery:
        sender = await join("/")
        await sender.send(*TEXTS)
        nursery.start_soon(sender.rest)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            await server.shutdown()
        assert server.counters.messages_discarded == len(TEXTS) - 1


@pytest.mark.parametrize("reset", [True, False])
async def test_a_slowed_client_that_is_gone_gives_its_place_back(reset: bool) -> None:
    async with serving(rate="1/h:1", ping_interval=0.1) as server:
        async with joined(server.url) as peer:
            await peer.send(frame(TEXT, b"x") * 9)
            await trio.testing.wait_all_tasks_blocked(0.01)
            peer.vanish(reset=reset)
            ended = await server.event("disconnected")
            assert (ended["why"], ended["received"], ended["discarded"]) == ("lost", 1, 8)
