"""
Compressed once for everybody: whoever comes, goes, talks or is dropped from, each inflates what it should.

Each member here keeps one inflater for its whole stay, as a browser does: a message that refers to something
it has not got comes out wrong, or not at all.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import Literal

import pytest
import trio
import trio.testing
from helpers.bare_member import BareMember
from helpers.json_messages import messages
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.counters import Counters
from trioecho.protocol import frames
from trioecho.protocol.deflate import RSV1, TAIL
from trioecho.rooms.batch import Batch, Encoding, Origin
from trioecho.rooms.compression import MAX_CONTEXTS, Compressor
from trioecho.rooms.context import WINDOW, step_of
from trioecho.rooms.histories import Histories
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.room import Room
from trioecho.settings import Audience, Settings, WhenSlow

TEXTS = messages("chat", 300, 60)


def room_of(
    options: Settings, counters: Counters | None = None, compressor: Compressor | None = None
) -> Room:
    """Make a room by itself."""
    history = Histories(options).open("/")
    return Room("/", options, counters or Counters(), history, compressor=compressor)


class Inflating(BareMember):
    """A member that can inflate, or can't; it reads when it is asked to."""

    def __init__(self, options: Settings, *, able: bool, encoding: Encoding | None = None) -> None:
        self.outbox = Outbox(self, options)
        self.outbox.encoding = encoding
        self.outbox.context = 0 if able else None
        self.received: list[str | bytes] = []
        self.size = self.compressed = 0
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)

    async def read(self) -> list[str | bytes]:
        """Take all that waits, and return the messages of the whole stay so far."""
        while self.outbox.pending_bytes:
            batch = await self.outbox.receive()
            assert batch is not None
            data = batch.encoded(self.outbox.encoding)
            self.size += len(data)
            for first, payload in frames.payloads(data):
                if first & RSV1:
                    assert self.outbox.context is not None, "this one can't inflate"
                    self.compressed += 1
                    payload = self._inflater.decompress(payload + TAIL)
                self.received.append(payload.decode() if first & 0xF == 1 else payload)
        return self.received


@dataclass
class Step:
    """One thing that happens in a room."""

    kind: Literal["join", "leave", "publish"]
    who: int
    able: bool
    texts: list[str] = field(default_factory=list)
    together: bool = False


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["join", "join", "leave", "publish", "publish", "publish"]),
        st.integers(0, 7),
        st.booleans(),
        st.lists(st.sampled_from([*TEXTS, "", "short", 2000 * "z"]), min_size=1, max_size=3),
        st.booleans(),
    ),
    max_size=40,
)


async def played(script: list[Step], options: Settings, *, compress: bool) -> list[list[str | bytes]]:
    """Let the steps happen, and return what each member got that was ever there."""
    room, there, gone = room_of(options), [], []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for step in script:
            if step.kind != "publish":
                await room.flush()  # or it would be chance who is there for what was published before
            if step.kind == "join":
                there.append(Inflating(options, able=step.able and compress))
                room.add(there[-1])
            elif step.kind == "leave" and there:
                member = there.pop(step.who % len(there))
                room.remove(member)
                gone.append(await member.read())
            elif step.kind == "publish":
                by = there[step.who] if step.who < len(there) else Origin.APPLICATION
                data = b"".join(map(frames.encode, step.texts))
                assert await room.publish(Batch(by, data, len(step.texts)))
            if not step.together:
                await room.flush()
        await room.flush()
        nursery.cancel_scope.cancel()
    return gone + [await member.read() for member in there]


@pytest.mark.parametrize("to", ["others", "everyone", "sender"])
@settings(max_examples=60, deadline=None)
@given(script=steps)
def test_each_inflates_what_the_others_get_plain(to: Audience, script: list[Step]) -> None:
    options = Settings(to=to)
    expected = trio.run(lambda: played(script, options, compress=False))
    assert trio.run(lambda: played(script, options, compress=True)) == expected


@pytest.mark.parametrize("when_slow", ["drop-oldest", "drop-newest"])
@settings(max_examples=60, deadline=None)
@given(script=steps)
def test_nothing_refers_to_what_was_dropped(when_slow: WhenSlow, script: list[Step]) -> None:
    """The script's members read only when they leave, so a few messages fill them."""
    options = Settings(when_slow=when_slow, max_message_size=2500, max_pending_bytes=2500, to="everyone")
    unbounded = trio.run(lambda: played(script, Settings(to="everyone"), compress=False))
    for got, sent in zip(trio.run(lambda: played(script, options, compress=True)), unbounded, strict=True):
        left = iter(sent)
        assert all(message in left for message in got), "each in order, and none that was not sent"


async def in_room(
    options: Settings, members: list[Inflating], sent: list[str], counters: Counters | None = None
) -> Room:
    """Let members be in a room while messages are published one by one."""
    room = room_of(options, counters)
    for member in members:
        room.add(member)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for text in sent:
            await room.publish(Batch(Origin.APPLICATION, frames.encode(text), 1))
            await room.flush()
        nursery.cancel_scope.cancel()
    return room


async def test_who_cannot_inflate_gets_exactly_what_it_would_get_alone() -> None:
    options = Settings()
    plain, alone = Inflating(options, able=False), Inflating(options, able=False)
    await in_room(options, [Inflating(options, able=True), plain], TEXTS)
    await in_room(options, [alone], TEXTS)
    assert await plain.read() == await alone.read() == TEXTS
    assert plain.size == alone.size == sum(len(frames.encode(text)) for text in TEXTS)


@pytest.mark.parametrize(
    ("kind", "size", "most"), [("ticker", 115, 0.5), ("telemetry", 480, 0.35), ("chat", 500, 0.7)]
)
async def test_a_message_refers_back_to_earlier_ones(kind: str, size: int, most: float) -> None:
    options, sent = Settings(), messages(kind, size, 100)
    member = Inflating(options, able=True)
    await in_room(options, [member], sent)
    assert await member.read() == sent
    alone = sum(len(zlib.compress(text.encode(), 3, wbits=-15)) for text in sent)
    assert member.size < most * sum(map(len, sent))
    assert member.size < 0.9 * alone


async def test_small_messages_are_sent_as_they_are() -> None:
    options = Settings(compress_min=100)
    member = Inflating(options, able=True)
    await in_room(options, [member], [99 * "x", 100 * "x"])
    assert await member.read() == [99 * "x", 100 * "x"]
    assert member.compressed == 1


async def test_a_newcomer_gets_plain_messages_until_a_beginning_costs_no_more_than_they_do() -> None:
    options, counters = Settings(), Counters()
    members = [Inflating(options, able=True) for _ in range(20)]
    late = Inflating(options, able=True)
    room = room_of(options, counters)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for member in members:
            room.add(member)
        for number, text in enumerate(TEXTS[:40]):
            if number == 10:
                room.add(late)
            await room.publish(Batch(Origin.APPLICATION, frames.encode(text), 1))
            await room.flush()
        nursery.cancel_scope.cancel()
    assert [await member.read() for member in members] == 20 * [TEXTS[:40]]
    assert await late.read() == TEXTS[10:40]
    assert counters.contexts_begun == 2
    assert counters.messages_out_of_step == 30 - late.compressed == 20


async def test_nobody_waits_longer_than_a_window_to_be_let_in() -> None:
    options, counters = Settings(max_message_size=WINDOW), Counters()
    members = [Inflating(options, able=True) for _ in range(1000)]
    room = room_of(options, counters)
    noise = random.Random(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for number in range(4):
            room.add(members[number])
            await room.publish(Batch(Origin.APPLICATION, frames.encode(noise.randbytes(WINDOW // 2)), 1))
            await room.flush()
        nursery.cancel_scope.cancel()
    assert counters.contexts_begun >= 2


async def test_each_encoding_has_a_past_of_its_own() -> None:
    """What is written in another encoding is other bytes: one can't refer to the other's."""

    def shouted(batch: Batch) -> bytes:
        return b"".join(
            frames.data_frame(first, data.upper()) for first, data in frames.payloads(batch.frames)
        )

    options = Settings()
    members = [
        Inflating(options, able=True, encoding=encoding) for encoding in (None, shouted, None, shouted)
    ]
    await in_room(options, members, TEXTS)
    loud = [text.upper() for text in TEXTS]
    assert [await member.read() for member in members] == [TEXTS, loud, TEXTS, loud]
    assert all(member.compressed == len(TEXTS) for member in members)


async def test_a_server_keeps_so_many_contexts_and_no_more() -> None:
    """The room that was quiet longest begins again, and its members notice nothing."""
    options, counters = Settings(), Counters()
    compressor = Compressor(options, counters)
    rooms = [room_of(options, counters, compressor) for _ in range(MAX_CONTEXTS + 1)]
    members = [Inflating(options, able=True) for _ in rooms]
    async with trio.open_nursery() as nursery:
        for room, member in zip(rooms, members, strict=True):
            room.add(member)
            nursery.start_soon(room.broadcast)
        for text in TEXTS[:2]:
            for room in rooms:
                await room.publish(Batch(Origin.APPLICATION, frames.encode(text), 1))
                await room.flush()
        nursery.cancel_scope.cancel()
    assert [await member.read() for member in members] == len(rooms) * [TEXTS[:2]]
    assert len(compressor._in_use) == MAX_CONTEXTS
    assert counters.contexts_begun == 2 * len(rooms)
    for room, member in zip(rooms, members, strict=True):
        room.remove(member)
    assert not compressor._in_use


async def test_what_only_those_needed_who_have_left_is_freed() -> None:
    def shouted(batch: Batch) -> bytes:
        return batch.frames

    options, counters = Settings(), Counters()
    compressor = Compressor(options, counters)
    room = room_of(options, counters, compressor)
    stays = Inflating(options, able=True)
    leaves = [Inflating(options, able=True, encoding=shouted) for _ in range(2)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for member in (stays, *leaves):
            room.add(member)
        for text in TEXTS:
            await room.publish(Batch(Origin.APPLICATION, frames.encode(text), 1))
        await room.flush()
        assert len(compressor._in_use) == 2
        room.remove(leaves[0])
        assert len(compressor._in_use) == 2
        room.remove(leaves[1])
        assert len(compressor._in_use) == 1
        await room.publish(Batch(Origin.APPLICATION, frames.encode(TEXTS[0]), 1))
        await room.flush()
        nursery.cancel_scope.cancel()
    assert await stays.read() == [*TEXTS, TEXTS[0]]


@pytest.mark.parametrize(
    ("level", "messages", "size"),
    [(3, 1, 10 * step_of(3)), (9, 1, 10 * step_of(9)), (3, 10 * step_of(3) // 300, 70)],
    ids=["a large message", "at the highest level", "many"],
)
async def test_other_tasks_run_while_much_is_compressed(level: int, messages: int, size: int) -> None:
    options = Settings(compress_level=level)
    member, passes = Inflating(options, able=True), 0
    sent = ["".join(random.Random(n).choices("0123456789", k=size)) for n in range(messages)]

    async def count() -> None:
        nonlocal passes
        while True:
            await trio.lowlevel.checkpoint()
            passes += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        room = room_of(options)
        room.add(member)
        nursery.start_soon(room.broadcast)
        await room.publish(Batch(Origin.APPLICATION, b"".join(map(frames.encode, sent)), messages))
        await room.flush()
        nursery.cancel_scope.cancel()
    assert passes >= 10
    assert await member.read() == sent


@pytest.mark.parametrize("together", [1, 10, 40])
async def test_where_all_talk_it_is_no_more_than_each_message_alone(together: int) -> None:
    options, counters, sent = Settings(), Counters(), messages("chat", 500, 400)
    members = [Inflating(options, able=True) for _ in range(10)]
    room = room_of(options, counters)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for member in members:
            room.add(member)
        for number, text in enumerate(sent):
            await room.publish(Batch(members[number % 10], frames.encode(text), 1))
            if number % together == together - 1:
                await room.flush()
        nursery.cancel_scope.cancel()
    alone = 0
    for number, member in enumerate(members):
        theirs = [text for at, text in enumerate(sent) if at % 10 != number]
        assert await member.read() == theirs
        for text in theirs:
            using = zlib.compressobj(3, wbits=-15)
            alone += len(using.compress(text.encode()) + using.flush(zlib.Z_SYNC_FLUSH))  # a tail, not a head
    size = sum(member.size for member in members)
    assert size <= alone if together > 1 else size < 0.99 * alone
    assert counters.messages_out_of_step < 400
