"""
Keepalive, in virtual time: the dead are found in time, and nobody else is taken for dead.

The clients are real sessions. A dead one takes no more bytes and sends none, as if its cable had been cut.
"""

from __future__ import annotations

import gc

import pytest
import trio
import trio.testing
from helpers.passes import passes
from helpers.streams import Connect, lockstep, memory, small_sockets, sockets
from helpers.virtual_server import Peer, served

from trioecho.sessions.keepalive import CLIENTS_A_TURN, TOGETHER
from trioecho.sessions.session import Session

PONG = b"\x8a\x80\0\0\0\0"

RATIOS = [(20, 20), (20, 5), (5, 20), (1, 60), (60, 1), (7.5, 0.25)]
"""Interval and timeout (seconds); a timeout longer than the interval means several pings on their way."""

LAST_SIGNS = [0, 0.5, 0.99, 1.01]
"""When a client is heard of for the last time, in intervals after it came: before and after a ping."""


@pytest.mark.parametrize("connect", [sockets, lockstep, memory])
@pytest.mark.parametrize(("interval", "patience"), RATIOS)
async def test_the_dead_are_found_within_interval_plus_timeout(
    connect: Connect, interval: float, patience: float, autojump_clock: trio.testing.MockClock
) -> None:
    """In memory a ping is always taken at once, as a system takes it for a client of TLS that is gone."""
    async with served(connect, ping_interval=interval, ping_timeout=patience) as (server, join):
        await trio.sleep(interval / 3)  # the first comes while nobody is there to be pinged
        last_signs: dict[str, float] = {}
        found: dict[str, float] = {}
        peers = {f"/{last}": await join(f"/{last}") for last in LAST_SIGNS}
        came = trio.current_time()
        for last, (room, peer) in zip(LAST_SIGNS, peers.items(), strict=True):
            await trio.sleep_until(came + last * interval)
            await peer.stream.send_all(PONG)
            last_signs[room] = trio.current_time()
            for gone in set(peers) - set(server.hub.rooms) - set(found):
                found[gone] = trio.current_time()
        while server.hub.rooms:
            await trio.sleep(min(interval, patience) / 100)
            for gone in set(peers) - set(server.hub.rooms) - set(found):
                found[gone] = trio.current_time()
        assert server.counters.disconnected == {"dead": len(peers)}
        for room, last_sign in last_signs.items():
            # Rooms are looked at a hundredth of the shorter time apart.
            assert patience <= found[room] - last_sign <= (interval + patience) * 1.011


@pytest.mark.parametrize("connect", [sockets, memory])
async def test_who_answers_stays(connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    async with served(connect, ping_interval=5, ping_timeout=2) as (server, join):
        peer = await join("/")
        for round_ in range(1, 20):
            assert await peer.next() == ("ping", b"")
            assert trio.current_time() == pytest.approx(5 * round_)
            await trio.sleep(1.9)
            await peer.stream.send_all(PONG)
        assert server.hub.rooms == {"/": 1}


async def test_those_who_are_due_close_together_are_pinged_together(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """To wake up for each of thousands costs more than to ping them."""
    async with served(memory, ping_interval=10, ping_timeout=60) as (_, join):
        came: list[float] = []
        peers = []
        for number in range(30):
            peers.append(await join(f"/{number}"))
            came.append(trio.current_time())
            await trio.sleep(0.01)
        pinged: list[float] = []

        async def wait(peer: Peer) -> None:
            assert await peer.next() == ("ping", b"")
            pinged.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(wait, peer)
        assert len(set(pinged)) <= 2 + 0.3 / (TOGETHER * 10)
        late = [at - (start + 10) for start, at in zip(came, sorted(pinged), strict=True)]
        assert -0.001 <= min(late) and max(late) <= TOGETHER * 10 + 0.001


async def test_who_was_pinged_and_leaves_is_not_kept_until_the_next_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    gc.collect()
    gc.disable()
    try:
        async with served(memory, ping_interval=10, ping_timeout=1) as (server, join):
            peer = await join("/")
            assert await peer.next() == ("ping", b"")
            await peer.stream.send_all(PONG)
            await trio.sleep(2)  # its answer has been looked for
            await peer.stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert server.counters.disconnected
            assert not any(isinstance(each, Session) for each in gc.get_objects())
    finally:
        gc.enable()


async def test_messages_are_as_good_as_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory, ping_interval=5, ping_timeout=5) as (server, join):
        peer = await join("/")
        for _ in range(20):
            await trio.sleep(4)
            await peer.send("still here")
        assert server.hub.rooms == {"/": 1}
        await trio.sleep(10.1)
        assert server.counters.disconnected == {"dead": 1}


async def test_who_takes_bytes_and_who_is_held_by_its_room_are_not_dead(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """
    One client reads so slowly that the other cannot publish, and so neither answers a ping for long.

    The slow one is not pinged, because a ping would stand behind its backlog; what it takes is its sign of
    life. The other may have answered, but the server does not read it: its room is full.
    """
    size = 64 * 1024
    async with (
        served(
            small_sockets,
            ping_interval=10,
            ping_timeout=10,
            max_message_size=size,
            max_pending_bytes=size,
            stall_limit=86_400,
        ) as (server, join),
        trio.open_nursery() as nursery,
    ):
        slow, publisher = await join("/"), await join("/")
        sent = 0

        async def publish() -> None:
            nonlocal sent
            while sent < 200:
                await publisher.send(size * b"x")
                sent += 1

        nursery.start_soon(publish)
        rounds = 0
        for _ in range(300):
            before = sent
            await slow.stream.receive_some(2_000)
            await trio.sleep(1)
            rounds += sent == before
        assert rounds > 200, "the publisher was not held"
        assert server.counters.disconnected == {}
        assert server.hub.rooms == {"/": 2}
        # And when it takes no more, it is dead; then the publisher is free again.
        assert sent < 200
        await trio.sleep(20.1)
        assert server.counters.disconnected == {"dead": 1}
        assert sent == 200


@pytest.mark.parametrize("off", [{"ping_interval": 0}, {"ping_timeout": 0}])
async def test_0_turns_it_off(off: dict[str, float], autojump_clock: trio.testing.MockClock) -> None:
    options = {"ping_interval": 1, "ping_timeout": 1, **off}
    async with served(memory, **options) as (server, join):  # type: ignore[arg-type]
        peer = await join("/")
        await trio.sleep(8_000)
        assert server.hub.rooms == {"/": 1}
        with trio.move_on_after(1) as scope:
            await peer.next()
        assert scope.cancelled_caught, "something was sent"


async def test_those_who_are_due_together_do_not_take_the_loop_for_themselves(
    autojump_clock: trio.testing.MockClock,
) -> None:
    count = 4 * CLIENTS_A_TURN
    pinged = 0

    async def be_pinged(peer: Peer) -> None:
        nonlocal pinged
        assert await peer.next() == ("ping", b"")
        pinged += 1

    async with served(memory, ping_interval=5, ping_timeout=2) as (server, join):
        peers = [await join("/") for _ in range(count)]
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(be_pinged, peer)
            await trio.sleep(5)
            assert max(await passes(lambda: pinged == count, lambda: pinged)) <= 2 * CLIENTS_A_TURN
        # And when they are found to be dead.
        await trio.sleep(2)
        gone = server.counters.disconnected
        assert max(await passes(lambda: gone["dead"] == count, gone.total)) <= 2 * CLIENTS_A_TURN
