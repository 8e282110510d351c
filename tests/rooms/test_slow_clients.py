"""Clients that stop reading, under each policy, on real sockets: what the others and the memory see of it."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import get_args

import pytest
import trio
from helpers.raw_peer import BINARY, TEXT, Peer, frame, joined
from helpers.server import unharmed
from helpers.server_process import running

from trioecho.settings import Options, WhenSlow

MIB = 2**20

SIZE = MIB // 4
"""How large the messages are (bytes): so large that a few fill what a kernel keeps for a connection."""

COUNT = 60
"""How many there are: 15 MiB, far more than a kernel keeps and an outbox may hold."""

WINDOW = 4
"""How many messages the sender is ahead of a reader that keeps up: 1 MiB, half of an outbox here."""

STUCK = 5
"""Clients that stop reading."""

STALL_LIMIT = 1.0

SLACK = 1.0
"""How much longer than it must something may take on a busy machine (seconds)."""


def message(number: int) -> bytes:
    """Message ``number``."""
    return number.to_bytes(4, "big") + bytes(SIZE - 4)


async def relay(sender: Peer, reader: Peer) -> float:
    """Send all messages to a reader that keeps up, and return its longest wait for one (seconds)."""
    window = trio.Semaphore(WINDOW)
    longest = 0.0

    async def send() -> None:
        for number in range(COUNT):
            await window.acquire()
            await sender.send(frame(BINARY, message(number)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        for number in range(COUNT):
            began = trio.current_time()
            opcode, payload = await reader.read_frame()
            assert (opcode, payload == message(number)) == (BINARY, True)
            longest = max(longest, trio.current_time() - began)
            window.release()
    return longest


def options(policy: WhenSlow) -> Options:
    """A server's options: outboxes of 2 MiB, and ``policy`` at their bound."""
    return {"when_slow": policy, "max_pending_bytes": 2 * MIB, "stall_limit": STALL_LIMIT, "stall_share": 1}


@pytest.mark.parametrize("policy", get_args(WhenSlow))
async def test_the_others_lose_nothing_and_are_held_up_for_the_stall_limit_at_most(policy: WhenSlow) -> None:
    async with unharmed(**options(policy)) as server, AsyncExitStack() as clients:
        stuck = [await clients.enter_async_context(joined(server.url, stuck=True)) for _ in range(STUCK)]
        reader, sender = [await clients.enter_async_context(joined(server.url)) for _ in range(2)]
        longest = await relay(sender, reader)
        # One deadline for all who are stuck, not one after another.
        assert longest < (STALL_LIMIT if policy == "wait" else 0.0) + SLACK
        for peer in stuck:
            peer.vanish(reset=True)
        await server.event("disconnected", room="/", count=STUCK)
        left = server.find("disconnected", room="/")
        why = {"wait": "slow", "disconnect": "full"}.get(policy, "lost")
        assert [entry["why"] for entry in left] == [why] * STUCK


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_the_log_says_what_was_dropped(policy: WhenSlow) -> None:
    async with unharmed(**options(policy)) as server, AsyncExitStack() as clients:
        stuck = [await clients.enter_async_context(joined(server.url, stuck=True)) for _ in range(STUCK)]
        reader, sender = [await clients.enter_async_context(joined(server.url)) for _ in range(2)]
        addresses = {peer.address for peer in stuck}
        await relay(sender, reader)
        begun = server.find("dropping", when_slow=policy)
        assert {entry["address"] for entry in begun} == addresses and len(begun) == STUCK
        for peer in stuck:
            peer.vanish(reset=True)
        await server.event("disconnected", room="/", count=STUCK)
        for entry in server.find("disconnected", room="/"):
            assert entry["dropped"] > COUNT // 4
            assert entry["sent"] + entry["dropped"] + entry["unsent"] == COUNT


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_a_client_that_reads_again_gets_the_messages_that_were_kept_whole_and_in_order(
    policy: WhenSlow,
) -> None:
    async with (
        unharmed(**options(policy)) as server,
        joined(server.url, stuck=True) as slow,
        joined(server.url) as reader,
        joined(server.url) as sender,
    ):
        await relay(sender, reader)
        numbers: list[int] = []
        async with trio.open_nursery() as nursery:

            async def say_that_it_is_over() -> None:
                while True:  # again, because this too may be dropped
                    await sender.send(frame(TEXT, b"over"))
                    await reader.read_frame()

            nursery.start_soon(say_that_it_is_over)
            while (read := await slow.read_frame()) != (TEXT, b"over"):
                numbers.append(int.from_bytes(read[1][:4], "big"))
                assert read[1] == message(numbers[-1])
            nursery.cancel_scope.cancel()
        if policy == "drop-newest":
            assert numbers == list(range(len(numbers)))
        else:
            assert numbers == sorted(set(numbers)) and numbers[-1] == COUNT - 1
        assert 0 < len(numbers) < COUNT


async def test_a_room_goes_on_as_soon_as_a_full_client_has_caught_up() -> None:
    async with unharmed(max_message_size=MIB, max_pending_bytes=MIB, stall_limit=600.0) as server:
        async with joined(server.url) as slow, joined(server.url) as sender, trio.open_nursery() as nursery:
            nursery.start_soon(sender.send, frame(BINARY, bytes(MIB)) * 24)
            for _ in range(24):
                assert await slow.read_frame() == (BINARY, bytes(MIB))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_what_many_slow_clients_wait_for_is_in_memory_once(policy: WhenSlow) -> None:
    async with running("--when-slow", policy, "--max-pending-bytes", "8MiB") as server:
        async with AsyncExitStack() as clients:
            reader, sender = [await clients.enter_async_context(joined(server.url)) for _ in range(2)]
            await relay(sender, reader)
            for _ in range(40):
                await clients.enter_async_context(joined(server.url, stuck=True))
            before = server.memory
            await relay(sender, reader)
            assert len(server.find("dropping")) == 40
            assert server.memory - before < 2 * 8 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_senders_who_read_nothing_do_not_each_get_a_copy_of_what_they_are_cut_out_of() -> None:
    """Everybody talks at once, so all are sent something else; all of it is nearly the same bytes."""
    count, size, each = 60, 3_500, 30
    async with (
        running("--when-slow", "drop-newest", "--max-pending-bytes", "64MiB") as server,
        AsyncExitStack() as clients,
    ):
        reader, last = [await clients.enter_async_context(joined(server.url)) for _ in range(2)]
        senders = [await clients.enter_async_context(joined(server.url, stuck=True)) for _ in range(count)]
        before = server.memory
        async with trio.open_nursery() as nursery:
            for sender in senders:
                nursery.start_soon(sender.send, each * frame(BINARY, bytes(size)))
            for _ in range(count * each):
                await reader.read_frame()
        await last.send(frame(TEXT, b"over"))
        assert await reader.read_frame() == (TEXT, b"over")
        # A copy for each would be 375 MB. The bytes are 6 MB; a cut out of little is held beside them.
        assert server.memory - before < 10 * count * each * size
