"""A graceful shutdown: what was taken is delivered, everybody hears why, and there is an end to it."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing
from helpers.streams import lockstep, memory
from helpers.traffic import Seen
from helpers.virtual_server import served

import trioecho


async def test_shutdown_delivers_what_was_taken_then_says_1001_and_returns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    said: dict[str, list[Seen]] = {"one": [], "another": []}
    heard: list[str | bytes] = []
    async with served(memory) as (server, join), trio.open_nursery() as nursery:
        peers = {name: await join("/") for name in said}

        async def listen(name: str) -> None:
            said[name] = await peers[name].rest()

        async def iterate() -> None:
            async with server.hub.subscribe("/") as subscription:
                async for message in subscription:
                    heard.append(message)

        for name in said:
            nursery.start_soon(listen, name)
        nursery.start_soon(iterate)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(100):
            await server.hub.publish("/", str(number))
        with trio.fail_after(1):
            await server.shutdown()
            await server.shutdown()
        assert server.counters.disconnected == {"shutdown": 2}
    assert heard == [str(number) for number in range(100)]
    for each in said.values():
        assert each == [*[("text", message) for message in heard], ("close", 1001)]


async def test_shutdown_delivers_a_backlog_to_who_still_takes_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A client that reads on within the time gets all that was queued for it, and the reason after it."""
    async with served(lockstep, shutdown_timeout=10) as (server, join), trio.open_nursery() as nursery:
        late = await join("/")
        sent = [f"{number} {100_000 * 'x'}" for number in range(20)]
        for message in sent:
            await server.hub.publish("/", message)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(server.shutdown)
        await trio.sleep(4)
        assert await late.rest() == [*[("text", message) for message in sent], ("close", 1001)]
        assert trio.current_time() < 5
        await trio.testing.wait_all_tasks_blocked()
        assert server.counters.disconnected == {"shutdown": 1}
        assert (server.counters.messages_out, server.counters.messages_unsent) == (20, 0)


async def test_who_does_not_answer_is_cut_when_the_shutdown_timeout_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(lockstep, shutdown_timeout=3) as (server, join):
        silent = await join("/")
        await server.hub.publish("/", "nobody takes this")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await server.shutdown()
        assert trio.current_time() - began == pytest.approx(3)
        assert server.counters.disconnected == {"aborted": 1}
        assert (await silent.rest())[-1:] != [("close", 1001)]


async def test_no_connection_is_accepted_after_shutdown(nursery: trio.Nursery) -> None:
    server = await nursery.start(partial(trioecho.serve, port=0))
    port = int(server.url.rpartition(":")[2].strip("/"))
    await server.shutdown()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_cancelled_shutdown_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory) as (server, join), trio.open_nursery() as nursery:
        peer = await join("/")
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.shutdown()
        nursery.start_soon(peer.rest)
        await server.shutdown()
        assert server.counters.disconnected == {"shutdown": 1}
