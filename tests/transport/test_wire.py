"""
The wire: whole frames, one after the other, whoever writes and however little the network takes.

The sockets here have a small send buffer, so that the kernel takes a part of nearly every write; the
stream in memory stands for TLS, which can neither be written to at once nor left half-way.
"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from helpers.streams import Connect, WireOwner, lockstep, memory, open_wire, read_into, small_sockets
from helpers.traffic import Reader
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.protocol import frames
from trioecho.protocol.decoder import Decoder
from trioecho.transport.wire import NOT_NOW, Wire

PONG = b"\x8a\x04pong"

Write = tuple[str, list[int]]
"""Who writes (a writer with batches, the library with a control frame, now), and how many bytes."""

writes: st.SearchStrategy[list[Write]] = st.lists(
    st.tuples(
        st.sampled_from(["batches", "control", "now"]),
        st.lists(st.integers(0, 300) | st.sampled_from([2_000, 20_000, 70_000]), min_size=1, max_size=4),
    ),
    max_size=8,
)
reads = st.lists(st.integers(1, 5_000), max_size=20)


def received(data: bytes | bytearray) -> list[object]:
    """Return what a client reads in ``data``: the names of the messages, and the control frames."""
    client = Reader(client=True)
    client.feed(bytes(data))
    if not client.ended:
        # wsproto says nothing of half a frame at the end; what comes after it would be part of it.
        client.feed(b"\x89\x05whole")
        assert client.seen.pop() == ("ping", b"whole"), "the stream ends in the middle of a frame"
    return [said.partition(" ")[0] if kind == "text" else (kind, said) for kind, said in client.seen]  # type: ignore[attr-defined]


def frame(name: str, size: int = 0) -> bytes:
    """Make a message that begins with its name, so that a frame out of its place is seen."""
    return frames.encode(f"{name} {size * 'x'}")


@settings(max_examples=60)
@given(st.sampled_from([small_sockets, lockstep]), st.lists(writes, min_size=1, max_size=4), reads)
def test_frames_never_mix_whoever_writes_at_once(
    streams: Connect, scripts: list[list[Write]], reads: list[int]
) -> None:
    async def run() -> None:
        async with streams() as (near, far):
            wire = open_wire(near)
            taken: list[list[object]] = [[] for _ in scripts]
            data = bytearray()

            async def perform(script: list[Write], taken: list[object], who: int) -> None:
                for step, (how, sizes) in enumerate(script):
                    named = [f"{who}.{step}.{part}" for part in range(len(sizes))]
                    batches = [frame(name, size) for name, size in zip(named, sizes, strict=True)]
                    if how == "batches":
                        taken += named
                        await wire.write(batches)
                    elif how == "control":
                        payload = named[0].encode()
                        taken.append(("pong", payload))
                        await wire.send_all(bytes((0x8A, len(payload))) + payload)
                    else:
                        left = wire.write_now(b"".join(batches))
                        if left != NOT_NOW:
                            taken += named
                        if left > 0:
                            await wire.write([])
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as reading:
                reading.start_soon(read_into, data, far, reads)
                async with trio.open_nursery() as writing:
                    for who, script in enumerate(scripts):
                        writing.start_soon(perform, script, taken[who], who)
                await near.aclose()

            got = received(bytes(data))
            assert len(got) == sum(map(len, taken))
            for mine in taken:
                assert [each for each in got if each in mine] == mine

    trio.run(run)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=5), reads, st.integers(1, 60), st.booleans())
def test_a_cancelled_write_finishes_the_frame_it_began_before_the_next(
    sizes: list[int], reads: list[int], steps: int, now: bool
) -> None:
    """On a socket: what the kernel took of the batches before the cancellation is a prefix, made whole."""

    async def run() -> None:
        async with small_sockets() as (near, far):
            wire = open_wire(near)
            data = bytearray()

            async def write() -> None:
                if now and wire.write_now(frame("now", 30_000)) == 0:
                    return
                await wire.write([frame(str(at), size) for at, size in enumerate(sizes)])

            async def read() -> None:
                for size in reads:
                    data.extend(await far.receive_some(size))
                await trio.sleep_forever()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                nursery.start_soon(read)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_into, data, far)
                await wire.send_all(PONG)
                await wire.write([frame("after")])
                await near.aclose()
            got = received(bytes(data))
            assert got[-2:] == [("pong", b"pong"), "after"]
            expected = [*(["now"] if now else []), *[str(at) for at in range(len(sizes))]]
            assert got[:-2] == expected[: len(got) - 2]

    trio.run(run)


async def test_nothing_is_written_now_past_what_is_half_written(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Not even when there is room again, and not past what a cancelled write left either."""
    async with small_sockets() as (near, far):
        wire = open_wire(near)
        data = bytearray()

        async def take_what_is_there() -> None:
            with trio.move_on_after(1):
                await read_into(data, far)

        assert wire.write_now(frame("half", 9_000)) > 0
        await take_what_is_there()
        assert wire.write_now(frame("past")) == NOT_NOW
        with trio.move_on_after(1):
            await wire.write([frame("more", 30_000)])
        await take_what_is_there()
        assert wire.write_now(frame("past")) == NOT_NOW
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_what_is_there)
            await wire.write([])
        assert received(bytes(data)) == ["half", "more"]
        assert wire.write_now(frame("now")) == 0


async def test_a_cancelled_write_breaks_a_stream_that_cannot_say_what_it_took() -> None:
    """TLS, for one: half a frame may be out, so nothing may follow but the end of the connection."""
    async with lockstep() as (near, far):
        wire = open_wire(near)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.write, [frame("lost")])
            assert await far.receive_some(1)
            nursery.cancel_scope.cancel()
        assert wire.write_now(frame("after")) == NOT_NOW
        with pytest.raises(trio.BrokenResourceError):
            await wire.write([frame("after")])
        with pytest.raises(trio.BrokenResourceError):
            await wire.send_all(PONG)


async def test_a_write_cancelled_while_it_waits_its_turn_breaks_nothing() -> None:
    async with lockstep() as (near, far):
        wire = open_wire(near)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.write, [frame("first")])
            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                scope.cancel()
                await wire.write([frame("second")])
            assert received(await far.receive_some()) == ["first"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.write, [frame("third")])
            assert received(await far.receive_some()) == ["third"]


@pytest.mark.parametrize("streams", [small_sockets, memory])
async def test_nothing_follows_a_close_frame(streams: Connect) -> None:
    async with streams() as (near, far):
        wire = open_wire(near)
        await wire.write([frame("before")])
        await wire.send_all(frames.close(1001, "the end"))
        assert wire.close_sent
        assert wire.write_now(frame("after")) == NOT_NOW
        with pytest.raises(trio.ClosedResourceError):
            await wire.write([frame("after")])
        await wire.send_all(PONG)
        await wire.send_all(frames.close(1000, "again"))
        await near.aclose()
        data = bytearray()
        await read_into(data, far)
        assert data == frame("before") + frames.close(1001, "the end")


async def test_a_close_frame_goes_out_after_what_is_half_written() -> None:
    async with small_sockets() as (near, far):
        wire = open_wire(near)
        assert wire.write_now(frame("half", 100_000)) > 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.send_all, frames.close(1001, "the end"))
            data = b""
            while not data.endswith(b"the end"):
                data += await far.receive_some()
        assert received(data) == ["half", ("close", 1001)]


@pytest.mark.parametrize("streams", [small_sockets, lockstep])
async def test_a_connection_that_is_gone_is_reported_to_whoever_writes(streams: Connect) -> None:
    async with streams() as (near, far):
        wire = open_wire(near)
        await far.aclose()
        assert wire.write_now(frame("now")) == NOT_NOW
        for write in (wire.write([frame("later")]), wire.send_all(PONG)):
            with pytest.raises(trio.BrokenResourceError):
                await write


async def test_no_frame_passes_before_the_answer_to_the_handshake() -> None:
    async with small_sockets() as (near, far):
        wire = Wire(near, Decoder(100), WireOwner(_fail, _fail))
        assert wire.write_now(frame("early")) == NOT_NOW
        wire.open()
        assert wire.write_now(frame("now")) == 0
        assert await far.receive_some() == frame("now")


async def _fail(*_: object) -> None:
    raise AssertionError("nothing was sent")
