"""A message has to be complete in time, however it comes; what the server itself holds up does not count."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from helpers.streams import memory
from helpers.virtual_server import served

WHOLE = b"\x81\x85\0\0\0\0hello"
FRAGMENTS = b"\x01\x81\0\0\0\0h" + b"\x00\x81\0\0\0\0i" * 40
PING = b"\x89\x80\0\0\0\0"
PINGS = b"\x01\x80\0\0\0\0" + PING * 200
LONG = b"\x82\xfe\x03\xe8\0\0\0\0" + bytes(1000)


async def trickle(stream: trio.abc.Stream, data: bytes, pause: float) -> None:
    """Send a byte at a time until the connection takes no more."""
    try:
        for at in range(len(data)):
            await stream.send_all(data[at : at + 1])
            await trio.sleep(pause)
    except trio.BrokenResourceError:
        pass


@pytest.mark.parametrize("data", [LONG, FRAGMENTS * 100, PINGS], ids=["frame", "fragments", "pings"])
async def test_a_message_that_is_fed_byte_by_byte_ends(
    data: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(memory, message_timeout=40) as (server, join), trio.open_nursery() as nursery:
        peer, other = await join(), await join()
        began = trio.current_time()
        nursery.start_soon(trickle, peer.stream, data, 0.5)
        while (seen := await peer.next())[0] == "pong":
            pass
        assert seen == ("close", 1008)
        assert 40 <= trio.current_time() - began <= 40 * 9 / 8
        assert server.counters.disconnected == {} or server.counters.disconnected == {"message-timeout": 1}
        await peer.next()
        await trio.testing.wait_all_tasks_blocked()
        assert server.counters.disconnected == {"message-timeout": 1}
        await other.send("still here")
        nursery.cancel_scope.cancel()


async def test_whole_messages_one_after_another_may_take_any_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(memory, message_timeout=10) as (server, join):
        peer, other = await join(), await join()
        # Each piece ends in the middle of a message, so there is always one that is not complete.
        messages = WHOLE * 40
        for at in range(0, len(messages), 10):
            await peer.stream.send_all(messages[at : at + 10])
            await trio.sleep(5)
        assert [await other.next() for _ in range(40)] == [("text", "hello")] * 40
        assert server.counters.disconnected == {}


async def test_it_can_be_turned_off(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory, message_timeout=0) as (server, join):
        peer, other = await join(), await join()
        await peer.stream.send_all(WHOLE[:-1])
        await trio.sleep(86_400)
        await peer.stream.send_all(WHOLE[-1:])
        assert await other.next() == ("text", "hello")
        assert server.counters.disconnected == {}


async def test_time_in_which_the_server_does_not_read_does_not_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(memory, message_timeout=10, rate="1/m:1") as (server, join):
        peer, other = await join(), await join()
        await peer.stream.send_all(WHOLE * 3 + WHOLE[:-1])
        await trio.sleep(121)
        await peer.stream.send_all(WHOLE[-1:])
        await trio.sleep(60)
        assert [await other.next() for _ in range(4)] == [("text", "hello")] * 4
        assert server.counters.disconnected == {}
