"""
The outbox: never over its bound, nothing out of order, and every message accounted for.

Hypothesis plays the room (it offers batches), the client (it reads now and then, as much as it likes) and
the scheduler, over a socket that takes little at a time, over one that takes much, and over a stream in
memory that takes nothing until it is read.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from helpers.outbox_owner import Client, batch_of
from helpers.streams import Connect, lockstep, memory, read_into, small_sockets, sockets
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.disconnect import FULL
from trioecho.rooms.batch import Batch
from trioecho.rooms.fan_out import offer_to_all
from trioecho.rooms.outbox import Outbox
from trioecho.settings import Settings, WhenSlow

POLICIES: list[WhenSlow] = ["wait", "disconnect", "drop-oldest", "drop-newest"]

OFFERS = ["offer", "offer to all"]

Move = tuple[str, int, int]
"""The room offers a batch of so many messages and bytes, to one or as to all; the client reads bytes; other
tasks have a turn."""

moves: st.SearchStrategy[list[Move]] = st.lists(
    st.tuples(st.sampled_from(OFFERS), st.integers(1, 3), st.integers(0, 900) | st.just(5_000))
    | st.tuples(st.just("read"), st.just(0), st.integers(1, 3_000))
    | st.tuples(st.just("turn"), st.just(0), st.integers(1, 5)),
    max_size=40,
)


class Play:
    """What happened when Hypothesis played."""

    def __init__(self) -> None:
        self.offered: list[Batch] = []  # and not refused
        self.refused = 0
        self.data = bytearray()


async def play(
    connect: Connect, limits: Settings, moves: list[Move], check: Callable[[Outbox], None], *, late: int = 0
) -> tuple[Play, Client]:
    """
    Play ``moves`` and then let the client read the rest; ``check`` is called after every move.

    The outbox is opened after ``late`` moves: what comes before, the client gets first.
    """
    result = Play()
    amounts, reads = trio.open_memory_channel[int](len(moves))
    async with connect() as (near, far), trio.open_nursery() as nursery:
        client = Client(near, limits, nursery)

        async def read() -> None:
            async for amount in reads:
                result.data += await far.receive_some(amount)
            await read_into(result.data, far)

        nursery.start_soon(read)
        for step, (what, count, size) in enumerate(moves):
            if step == late:
                client.outbox.open()
            if what in OFFERS and client.takes_more:
                batch = batch_of(count, size, len(result.offered))
                if what == "offer":
                    taken = client.offer(batch)
                else:
                    full = offer_to_all([client.outbox], batch, None)
                    assert full in ([], [client.outbox])
                    taken = not full
                if taken:
                    result.offered.append(batch)
                else:
                    result.refused += 1
            elif what == "read":
                amounts.send_nowait(size)
            else:
                for _ in range(size):
                    await trio.lowlevel.checkpoint()
            check(client.outbox)
        if late >= len(moves):
            client.outbox.open()
        amounts.close()
        await client.outbox.wait_caught_up()
        if not client.takes_more:
            nursery.cancel_scope.cancel()
        else:
            client.outbox.close(drain=True)
            await trio.testing.wait_all_tasks_blocked()
            await near.aclose()
    client.outbox.close()
    check(client.outbox)
    return result, client


@pytest.mark.parametrize("when_slow", POLICIES)
@pytest.mark.parametrize("connect", [small_sockets, sockets, lockstep])
@settings(max_examples=30)
@given(moves, st.integers(0, 5))
def test_it_stays_in_its_bound_and_every_message_is_sent_dropped_or_unsent(
    connect: Connect, when_slow: WhenSlow, moves: list[Move], late: int
) -> None:
    limits = Settings(when_slow=when_slow, max_pending_bytes=3_000, max_message_size=3_000)
    largest = max([batch_of(count, size, 99).cost for what, count, size in moves if what in OFFERS] or [0])

    def check(outbox: Outbox) -> None:
        assert 0 <= outbox.pending_bytes <= max(limits.max_pending_bytes, largest)
        assert bool(outbox.dropped) <= when_slow.startswith("drop")

    result, client = trio.run(lambda: play(connect, limits, moves, check, late=late))
    outbox, offered = client.outbox, result.offered
    assert outbox.sent + outbox.dropped + outbox.unsent == sum(batch.count for batch in offered)
    assert outbox.pending_bytes == 0 or outbox.unsent
    assert client.first_drops == bool(outbox.dropped)
    assert bool(result.refused) <= (when_slow == "wait")
    assert set(client.ended) <= ({FULL} if when_slow == "disconnect" else set())
    if not client.ended:
        # What arrived is what was offered, in order, without what was dropped: nothing else is missing.
        assert outbox.unsent == 0
        expected = iter(offered)
        rest, dropped = bytes(result.data), 0
        for batch in expected:
            if rest.startswith(batch.frames):
                rest = rest.removeprefix(batch.frames)
            else:
                dropped += batch.count
        assert rest == b""
        assert dropped == outbox.dropped


@settings(max_examples=60)
@given(moves)
def test_written_now_or_later_the_client_gets_the_same_bytes(moves: list[Move]) -> None:
    limits = Settings(max_pending_bytes=2**30)
    expected: bytes | None = None
    for connect in (sockets, small_sockets, memory, lockstep):
        result, client = trio.run(lambda connect=connect: play(connect, limits, moves, lambda _: None))  # type: ignore[misc]
        assert client.outbox.sent == sum(batch.count for batch in result.offered)
        expected = bytes(result.data) if expected is None else expected
        assert bytes(result.data) == expected
    assert expected == b"".join(batch.frames for batch in result.offered)
