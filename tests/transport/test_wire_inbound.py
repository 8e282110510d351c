"""The wire inbound: messages leave it for the room, the rest goes on to the library, in their order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio
import trio.testing
from helpers.bombs import empty_blocks
from helpers.streams import lockstep, memory, open_wire
from helpers.traffic import masked

from trioecho.protocol import frames
from trioecho.protocol.inflater import INPUT_WORK, SLICE_WORK


async def _fail(*_: object) -> None:
    raise AssertionError("nothing was sent")


@pytest.mark.parametrize("together", [True, False])
async def test_messages_go_to_the_room_and_control_frames_to_the_library_in_their_order(
    together: bool,
) -> None:
    async with memory() as (near, far):
        order: list[object] = []

        async def publish(frames_: list[bytes]) -> None:
            await trio.lowlevel.checkpoint()
            order.extend(_messages(frames_))

        wire = open_wire(near, publish=publish)
        sent = [masked(0x81, b"one"), masked(0x89, b"ping"), masked(0x82, b"two"), masked(0x8A, b"pong")]
        for data in [b"".join(sent)] if together else sent:
            await far.send_all(data)
        await far.aclose()
        while data := await wire.receive_some():
            order.append(data)
        assert order == ["one", sent[1], b"two", sent[3]]


async def test_who_brings_much_at_once_has_it_decoded_in_turn() -> None:
    """However few messages that are: one of a MiB makes as much work as ten thousand small ones."""
    async with memory() as (near, far):
        order: list[str] = []

        async def publish(frames_: list[bytes]) -> None:
            order.extend(["message"] * len(frames_))

        async def take_turn() -> None:
            order.append("turn")
            await trio.lowlevel.checkpoint()

        wire = open_wire(near, publish=publish, take_turn=take_turn)
        for size in (100, 100, 200_000, 100):
            await far.send_all(masked(0x82, bytes(size)))
            with trio.move_on_after(0.01):
                await wire.receive_some()
        assert order[:2] == ["message"] * 2
        # Four reads of 64 KiB, of which the last has little, and then the message.
        assert order[2:] == ["turn"] * 3 + ["message"] * 2


async def test_a_message_that_takes_long_to_inflate_is_inflated_in_turn(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nothing more need come: the last message of a read goes on by itself."""
    async with memory() as (near, far):
        order: list[str] = []

        async def publish(frames_: list[bytes]) -> None:
            order.extend(["message"] * len(frames_))

        async def take_turn() -> None:
            order.append("turn")
            await trio.lowlevel.checkpoint()

        wire = open_wire(near, publish=publish, take_turn=take_turn, compressed=True)
        sent = empty_blocks(32_000)
        await far.send_all(masked(0xC2, sent))
        with trio.move_on_after(0.01):
            await wire.receive_some()
        turns = len(sent) * INPUT_WORK // SLICE_WORK
        assert order[:turns] == ["turn"] * turns
        assert order.count("message") == 1


async def test_a_room_that_is_full_keeps_the_client_from_being_read() -> None:
    gate, sent = trio.Event(), trio.Event()

    async def publish(_: list[bytes]) -> None:
        await gate.wait()

    async with lockstep() as (near, far), trio.open_nursery() as nursery:
        wire = open_wire(near, publish=publish)
        nursery.start_soon(wire.receive_some)

        async def send() -> None:
            await far.send_all(masked(0x81, b"one"))
            await far.send_all(masked(0x81, b"two"))
            sent.set()

        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert wire.publishing
        assert not sent.is_set()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert not wire.publishing
        assert sent.is_set()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", [masked(0x88, b"\x03\xe8"), b"\x81\x00", masked(0x81, b"\xff")])
async def test_what_is_owed_is_settled_once_before_the_library_hears_of_the_end(end: bytes) -> None:
    async with memory() as (near, far):
        order: list[str] = []

        async def publish(frames_: list[bytes]) -> None:
            await trio.lowlevel.checkpoint()
            order.append("published")

        async def flush() -> None:
            await trio.lowlevel.checkpoint()
            order.append("flushed")

        wire = open_wire(near, publish=publish, flush=flush)
        await far.send_all(masked(0x81, b"one") + end)
        await far.aclose()
        while data := await wire.receive_some():
            assert data == end
            order.append("told")
        assert order == ["published", "flushed", "told"]


async def test_after_our_close_frame_a_clients_messages_are_forgotten() -> None:
    async with memory() as (near, far):
        wire = open_wire(near, publish=_fail)
        await wire.send_all(frames.close(1001, ""))
        await far.send_all(masked(0x81, b"late"))
        with pytest.raises(trio.ClosedResourceError):
            await wire.receive_some()


async def test_the_library_cannot_close_the_connection() -> None:
    async with memory() as (near, far):
        wire = open_wire(near)
        await wire.aclose()
        await wire.write([frames.encode("still")])
        assert await far.receive_some() == frames.encode("still")


def _messages(frames_: list[bytes]) -> Iterator[str | bytes]:
    return frames.messages(b"".join(frames_))
