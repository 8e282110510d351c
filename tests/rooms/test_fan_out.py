"""The fan-out by encoding, and a crowd of senders that read nothing: what they wait for is held once."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest
import trio
import trio.testing
from helpers.outbox_owner import Client, batch_of
from helpers.streams import Connect, lockstep, memory, read_into, small_sockets, sockets
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trioecho.counters import Counters
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Encoding, Excerpt, Origin, excerpt
from trioecho.rooms.fan_out import offer, offer_to_all
from trioecho.rooms.histories import Histories
from trioecho.rooms.outbox import State
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room
from trioecho.settings import Settings

MIB = 2**20


async def test_a_member_whose_connection_is_gone_is_left_to_its_reader() -> None:
    """No writer is started for it, nothing waits for it, and what it does not get is counted."""
    async with sockets() as (near, far), trio.open_nursery() as nursery:
        member = Client(near, Settings(), nursery)
        member.outbox.open()
        await far.aclose()
        offered = 0
        while not member.outbox.unsent:  # the kernel may take the first for a peer that is gone
            assert member.offer(batch_of(3, 10, offered))
            offered += 3
            await trio.lowlevel.checkpoint()
        assert member.outbox.state is State.DIRECT and not nursery.child_tasks
        assert (member.outbox.unsent, member.outbox.pending_bytes) == (3, 0)
        assert member.outbox.sent == offered - 3


@pytest.mark.parametrize("connect", [sockets, small_sockets, memory])
async def test_everybody_gets_its_own_encoding_and_each_is_made_once(connect: Connect) -> None:
    """Written at once, half at once or by a writer; in one room and in the order of the messages."""
    made: list[str] = []

    def shouted(batch: Batch) -> bytes:
        made.append("shouted")
        return batch.frames.upper()

    def doubled(batch: Batch) -> bytes:
        made.append("doubled")
        return 2 * batch.frames

    encodings: list[Encoding | None] = [None, shouted, doubled] * 3
    room = Room("/", Settings(), Counters(), Histories(Settings()).open("/"))
    async with AsyncExitStack() as streams, trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        received = [bytearray() for _ in encodings]
        members = []
        for encoding, data in zip(encodings, received, strict=True):
            near, far = await streams.enter_async_context(connect())
            members.append(Client(near, Settings(), nursery, encoding))
            members[-1].outbox.open()
            room.add(members[-1])
            nursery.start_soon(read_into, data, far)
        sent = [frames.encode(f"message {number} {20_000 * 'x'}") for number in range(5)]
        for message in sent:
            await room.publish(Batch(Origin.APPLICATION, message, 1))
            await trio.testing.wait_all_tasks_blocked()
        assert sorted(made) == sorted(5 * ["shouted", "doubled"])
        for member, data in zip(members, received, strict=True):
            await member.outbox.wait_caught_up()
            await trio.testing.wait_all_tasks_blocked()
            encoding = member.outbox.encoding
            expected = [Batch(Origin.APPLICATION, message, 1).encoded(encoding) for message in sent]
            assert bytes(data) == b"".join(expected)
            assert member.outbox.sent == 5
        # When those with one encoding have left, the others are served as before.
        for member in members:
            if member.outbox.encoding is not shouted:
                room.remove(member)
        made.clear()
        received[1].clear()
        await room.publish(Batch(Origin.APPLICATION, frames.encode("more"), 1))
        await trio.testing.wait_all_tasks_blocked()
        assert made == ["shouted"] and bytes(received[1]) == frames.encode("MORE")
        nursery.cancel_scope.cancel()


@settings(max_examples=40)
@example(8 * [10_000], 1, small_sockets)
@given(
    st.lists(st.integers(1, 30_000), min_size=1, max_size=8),
    st.integers(1, 3),
    st.sampled_from([small_sockets, lockstep, memory, sockets]),
)
def test_an_excerpt_arrives_whole_and_in_order_wherever_the_kernel_stops(
    lengths: list[int], count: int, connect: Connect
) -> None:
    async def play() -> None:
        whole = b"".join(frames.encode(bytes([65 + number]) * n) for number, n in enumerate(lengths))
        view, ends = memoryview(whole), [0]
        for length in lengths:
            ends.append(ends[-1] + len(frames.encode(bytes(length))))
        pieces = [view[start:end] for start, end in pairwise(ends)]
        batch = Excerpt(pieces, len(pieces))
        async with connect() as (near, far), trio.open_nursery() as nursery:
            client, data = Client(near, Settings(), nursery), bytearray()
            client.outbox.open()
            for _ in range(count):
                assert offer(client.outbox, batch)
            assert client.outbox.pending_bytes <= count * batch.cost
            nursery.start_soon(read_into, data, far)
            await client.outbox.wait_caught_up()
            await trio.testing.wait_all_tasks_blocked()
            assert client.outbox.state in (State.DIRECT, State.QUEUEING)
            assert client.outbox.sent == count * len(pieces) and client.outbox.unsent == 0
            client.outbox.close()
            nursery.cancel_scope.cancel()
        assert bytes(data) == count * whole

    trio.run(play)


@pytest.mark.parametrize("connect", [sockets, lockstep])
async def test_senders_who_never_read_hold_what_they_wait_for_once(connect: Connect) -> None:
    """200 talk and none of them reads: each is sent everything but its own, and no copy of it is kept."""
    count, size, rounds = 200, 3_500, 10
    limits = Settings(when_slow="drop-newest", max_pending_bytes=64 * MIB)
    async with AsyncExitStack() as streams, trio.open_nursery() as nursery:
        registry = Registry(limits, nursery)
        members = []
        for _ in range(count):
            near, _ = await streams.enter_async_context(connect())
            members.append(Client(near, limits, nursery))
            room = registry.enter("/", members[-1])
            members[-1].outbox.open()
        gc.collect()
        tracemalloc.start()
        try:
            for turn in range(rounds):
                for number, member in enumerate(members):
                    frame = frames.encode(f"{turn} {number} ".encode() + bytes(size))
                    await room.publish(Batch(member, frame, 1))
                await room.flush()
                await trio.testing.wait_all_tasks_blocked()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        pending = sum([member.outbox.pending_bytes for member in members])
        assert pending > count * (rounds - 1) * count * size // 2, "they have read"
        assert held < 8 * rounds * count * size
        nursery.cancel_scope.cancel()
        for member in members:
            member.outbox.close()


async def test_a_copy_is_made_only_to_write_it() -> None:
    """Also of a large excerpt that the kernel takes a part of: the rest that waits is not a copy."""
    whole = bytes(MIB)
    view = memoryview(whole)
    async with small_sockets() as (near, _), trio.open_nursery() as nursery:
        client = Client(near, Settings(), nursery)
        client.outbox.open()
        tracemalloc.start()
        try:
            batch = excerpt([view[: MIB // 2], view[MIB // 2 + 100 :]], 2, MIB)
            assert offer_to_all([client.outbox], batch, None) == []
            await trio.testing.wait_all_tasks_blocked()
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert MIB // 2 < client.outbox.pending_bytes < MIB - 100
        assert held < MIB // 10
        nursery.cancel_scope.cancel()
    client.outbox.close()
    assert client.outbox.unsent == 2
