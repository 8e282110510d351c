"""
The outbox at its bound, one policy after the other, and at its end.

Over a stream in memory that nobody reads, the first batch is being written, and all others wait.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from helpers.outbox_owner import Client, batch_of
from helpers.streams import lockstep, read_into, small_sockets

from trioecho.disconnect import FULL
from trioecho.rooms.batch import Batch
from trioecho.rooms.fan_out import offer
from trioecho.rooms.outbox import Outbox, State
from trioecho.rooms.subscriber import Subscriber
from trioecho.settings import Settings, WhenSlow

POLICIES: list[WhenSlow] = ["wait", "disconnect", "drop-oldest", "drop-newest"]


@pytest.fixture
def stuck(nursery: trio.Nursery) -> Callable[..., Client]:
    """Make a client that takes nothing."""

    def make(when_slow: WhenSlow, bound: int) -> Client:
        near, _ = trio.testing.lockstep_stream_pair()
        limits = Settings(when_slow=when_slow, max_pending_bytes=bound, max_message_size=1)
        client = Client(near, limits, nursery)
        client.outbox.open()
        return client

    return make


COST = batch_of(1, 100, 0).cost


async def fill(client: Client, number: int) -> list[bool]:
    taken = []
    for at in range(number):
        taken.append(client.offer(batch_of(1, 100, at)))
        await trio.testing.wait_all_tasks_blocked()
    return taken


async def test_wait_refuses_what_does_not_fit_and_keeps_what_does(
    stuck: Callable[..., Client], autojump_clock: trio.testing.MockClock
) -> None:
    client = stuck("wait", 3 * COST)
    assert await fill(client, 3) == [True, True, True]
    assert client.outbox.full_since is None
    await trio.sleep(1)
    full_since = trio.current_time()
    assert await fill(client, 2) == [False, False]
    await trio.sleep(1)
    assert await fill(client, 1) == [False]
    assert client.outbox.full_since == full_since
    assert client.outbox.pending_bytes == 3 * COST
    assert (client.outbox.dropped, client.ended) == (0, [])


async def test_who_was_full_is_not_forgiven_before_it_has_caught_up(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Otherwise a reader that trickles would hold its room for ever."""
    async with lockstep() as (near, far), trio.open_nursery() as nursery:
        client = Client(near, Settings(max_pending_bytes=2 * COST, max_message_size=1), nursery)
        client.outbox.open()
        assert await fill(client, 3) == [True, True, False]
        began = client.outbox.full_since
        assert began is not None
        while client.outbox.pending_bytes > COST:
            await far.receive_some(1)
        await trio.testing.wait_all_tasks_blocked()
        assert client.freed_when == [COST]
        assert await fill(client, 1) == [True]
        assert client.outbox.full_since == began
        async with trio.open_nursery() as reading:
            reading.start_soon(read_into, bytearray(), far)
            await client.outbox.wait_caught_up()
            reading.cancel_scope.cancel()
        assert client.outbox.full_since is None
        client.outbox.close()


async def test_the_room_is_told_also_when_one_write_took_all(nursery: trio.Nursery) -> None:
    async with lockstep() as (near, far):
        client = Client(near, Settings(max_pending_bytes=1, max_message_size=1), nursery)
        client.outbox.open()
        assert await fill(client, 2) == [True, False]
        assert await far.receive_some() == batch_of(1, 100, 0).frames
        await trio.testing.wait_all_tasks_blocked()
        assert client.freed_when == [0]
        assert await fill(client, 1) == [True]
        nursery.cancel_scope.cancel()


async def test_disconnect_ends_the_client_at_the_first_batch_too_many(stuck: Callable[..., Client]) -> None:
    client = stuck("disconnect", 3 * COST)
    assert await fill(client, 5) == [True] * 5
    assert client.ended == [FULL]
    # One was being written, two were queued, the fourth was one too many; the fifth came to a client that
    # was on its way out.
    assert (client.outbox.sent, client.outbox.dropped, client.outbox.unsent) == (0, 0, 4)


async def test_drop_oldest_keeps_the_newest_and_what_is_being_written(stuck: Callable[..., Client]) -> None:
    client = stuck("drop-oldest", 3 * COST)
    await fill(client, 10)
    assert client.outbox.dropped == 7
    assert client.outbox.pending_bytes == 3 * COST
    assert client.first_drops == 1


async def test_drop_newest_keeps_what_is_there(stuck: Callable[..., Client]) -> None:
    client = stuck("drop-newest", 3 * COST)
    await fill(client, 10)
    assert client.outbox.dropped == 7
    assert client.first_drops == 1


@pytest.mark.parametrize(
    ("when_slow", "arrived"), [("drop-oldest", [0, 8, 9]), ("drop-newest", [0, 1, 2]), ("wait", [0, 1, 2])]
)
async def test_what_a_client_gets_that_comes_back(when_slow: WhenSlow, arrived: list[int]) -> None:
    async with lockstep() as (near, far), trio.open_nursery() as nursery:
        limits = Settings(when_slow=when_slow, max_pending_bytes=3 * COST, max_message_size=1)
        client = Client(near, limits, nursery)
        client.outbox.open()
        await fill(client, 10)
        async with trio.open_nursery() as reading:
            data = bytearray()
            reading.start_soon(read_into, data, far)
            await client.outbox.wait_caught_up()
            await near.aclose()
        client.outbox.close()
        assert bytes(data) == b"".join(batch_of(1, 100, number).frames for number in arrived)


async def test_an_empty_outbox_takes_any_batch(stuck: Callable[..., Client]) -> None:
    """A message that fits no outbox could reach nobody."""
    for when_slow in POLICIES:
        client = stuck(when_slow, 1)
        assert await fill(client, 1) == [True]
        assert (client.outbox.pending_bytes, client.ended, client.first_drops) == (COST, [], 0)


async def test_what_the_kernel_left_of_a_batch_is_pending() -> None:
    size = 100_000
    async with small_sockets() as (near, _), trio.open_nursery() as nursery:
        client = Client(near, Settings(max_pending_bytes=size, max_message_size=size), nursery)
        client.outbox.open()
        assert client.offer(batch_of(1, size, 0))
        assert size // 2 < client.outbox.pending_bytes < size
        assert not client.offer(batch_of(1, size, 1))
        assert client.outbox.full_since is not None
        nursery.cancel_scope.cancel()
    client.outbox.close()
    assert client.outbox.unsent == 1


# Its states, and closing.


async def test_an_outbox_goes_through_four_states_and_back_while_it_lives() -> None:
    async with small_sockets() as (near, far), trio.open_nursery() as nursery:
        client = Client(near, Settings(), nursery)
        outbox = client.outbox
        seen = [outbox.state]  # the handshake is being answered
        outbox.open()
        seen.append(outbox.state)
        assert client.offer(batch_of(1, 10, 0))
        seen.append(outbox.state)
        assert client.offer(batch_of(1, 100_000, 1))
        seen.append(outbox.state)
        nursery.start_soon(read_into, bytearray(), far)
        await outbox.wait_caught_up()
        await trio.testing.wait_all_tasks_blocked()
        seen.append(outbox.state)
        outbox.close(drain=True)
        seen.append(outbox.state)
        outbox.close()
        seen.append(outbox.state)
        outbox.close(drain=True)
        outbox.open()
        seen.append(outbox.state)
        assert [state.name for state in seen] == [
            "QUEUEING", "DIRECT", "DIRECT", "QUEUEING", "DIRECT", "DRAINING", "CLOSED", "CLOSED",
        ]  # fmt: skip
        assert (outbox.sent, outbox.unsent) == (2, 0)
        nursery.cancel_scope.cancel()


async def test_a_receiver_is_woken_without_a_batch_only_if_it_waits(nursery: trio.Nursery) -> None:
    outbox = Outbox(Subscriber(Settings()), Settings())
    received: list[Batch | None] = []

    async def receive() -> None:
        received.append(await outbox.receive())

    outbox.wake()
    first = batch_of(1, 10, 0)
    assert offer(outbox, first)
    outbox.wake()
    await receive()
    nursery.start_soon(receive)
    await trio.testing.wait_all_tasks_blocked()
    assert received == [first]
    outbox.wake()
    outbox.wake()
    await trio.testing.wait_all_tasks_blocked()
    assert received == [first, None]
    assert (outbox.sent, outbox.pending_bytes) == (1, 0)
    outbox.close()
    outbox.wake()
    with pytest.raises(trio.EndOfChannel):
        await outbox.receive()


async def test_an_outbox_that_drains_delivers_what_it_has_and_takes_no_more() -> None:
    async with lockstep() as (near, far), trio.open_nursery() as nursery:
        client = Client(near, Settings(), nursery)
        client.outbox.open()
        await fill(client, 2)
        client.outbox.close(drain=True)
        assert client.outbox.state is State.DRAINING
        assert client.offer(batch_of(1, 100, 99))
        data = bytearray()
        nursery.start_soon(read_into, data, far)
        await client.outbox.wait_caught_up()
        await trio.testing.wait_all_tasks_blocked()
        await near.aclose()
    assert bytes(data) == batch_of(1, 100, 0).frames + batch_of(1, 100, 1).frames
    assert (client.outbox.sent, client.outbox.unsent, client.outbox.pending_bytes) == (2, 0, 0)


async def test_closing_lets_go_who_waits_for_it(stuck: Callable[..., Client], nursery: trio.Nursery) -> None:
    client = stuck("wait", 2 * COST)
    await fill(client, 3)
    async with trio.open_nursery() as waiting:
        waiting.start_soon(client.outbox.wait_caught_up)
        await trio.testing.wait_all_tasks_blocked()
        client.outbox.close()
    assert client.freed_when, "the room was not told"
    client.outbox.close()
    assert client.outbox.unsent == 2
    nursery.cancel_scope.cancel()
