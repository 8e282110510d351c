"""Events compressed once for a room: whoever comes, goes or is dropped from, each reads one gzip stream."""

from __future__ import annotations

import random
import zlib

import pytest
import trio
from helpers.bare_member import BareMember
from helpers.json_messages import messages
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.counters import Counters
from trioecho.protocol import frames, gzip_stream
from trioecho.protocol.sse import KEEPALIVE
from trioecho.rooms.batch import Batch, Encoding, Origin, as_events, as_gzip_events
from trioecho.rooms.histories import Histories
from trioecho.rooms.notice import tell_by_event, tell_by_gzip_event
from trioecho.rooms.outbox import Outbox
from trioecho.rooms.room import Room
from trioecho.settings import Settings, WhenSlow

TEXTS = messages("telemetry", 300, 60)
LARGE = [random.Random(number).randbytes(35_000).hex() for number in range(3)]


class Listener(BareMember):
    """A member that reads events, plain or in one gzip stream, when it is asked to."""

    def __init__(self, options: Settings, encoding: Encoding) -> None:
        self._gzip = encoding is as_gzip_events
        self.outbox = Outbox(self, options)
        self.outbox.tell = tell_by_gzip_event if self._gzip else tell_by_event
        self.outbox.encoding = encoding if self._gzip else None
        self.outbox.context = 0 if self._gzip else None
        self.text, self.size = b"", 0
        self._inflater = zlib.decompressobj(zlib.MAX_WBITS + 16)
        self._took(gzip_stream.HEAD if self._gzip else b"")

    def _took(self, data: bytes) -> None:
        self.size += len(data)
        self.text += self._inflater.decompress(data) if self._gzip else data

    async def read(self) -> bytes:
        """Take all that waits, then a keepalive, and return all of the stream but comments."""
        while self.outbox.pending_bytes:
            batch = await self.outbox.receive()
            assert batch is not None
            self._took(batch.encoded(self.outbox.encoding or as_events))
        self._took(gzip_stream.NOTHING if self._gzip else KEEPALIVE)
        return self.text.replace(KEEPALIVE, b"")


Script = list[tuple[str, int, list[str], bool]]

scripts = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "read", "publish", "publish", "publish"]),
        st.integers(0, 5),
        st.lists(st.sampled_from([*TEXTS[:9], "", "a\nb", *LARGE]), min_size=1, max_size=3),
        st.booleans(),
    ),
    max_size=30,
)


async def played(script: Script, options: Settings, encoding: Encoding) -> list[bytes]:
    """Let it happen, and return what each listener read that was ever there."""
    history = Histories(options).open("/")
    history.epoch = "k3x9f2aa"
    room, there, gone = Room("/", options, Counters(), history), list[Listener](), list[bytes]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for kind, who, texts, together in script:
            if kind != "publish":
                await room.flush()
            if kind == "join":
                there.append(Listener(options, encoding))
                room.add(there[-1])
            elif kind == "publish":
                data = b"".join(map(frames.encode, texts))
                assert await room.publish(Batch(Origin.APPLICATION, data, len(texts)))
            elif there and kind == "read":
                await there[who % len(there)].read()
            elif there:
                member = there.pop(who % len(there))
                room.remove(member)
                gone.append(await member.read())
            if not together:
                await room.flush()
        await room.flush()
        nursery.cancel_scope.cancel()
    return gone + [await member.read() for member in there]


@settings(max_examples=60, deadline=None)
@given(script=scripts)
def test_each_reads_what_others_read_plain(script: Script) -> None:
    plain = trio.run(played, script, Settings(), as_events)
    assert trio.run(played, script, Settings(), as_gzip_events) == plain


@pytest.mark.parametrize("when_slow", ["drop-oldest", "drop-newest"])
@settings(max_examples=60, deadline=None)
@given(script=scripts)
def test_nothing_refers_to_what_was_dropped(when_slow: WhenSlow, script: Script) -> None:
    """Two large messages that wait are too many; what is dropped is told in its place."""
    options = Settings(when_slow=when_slow, max_message_size=75_000, max_pending_bytes=75_000)
    everything = trio.run(played, script, Settings(), as_events)
    for got, sent in zip(trio.run(played, script, options, as_gzip_events), everything, strict=True):
        left = iter(sent.split(b"\n\n"))
        for event in got.split(b"\n\n"):
            assert b"\nevent: missed\n" in event or event in left, "in order, and none that was not sent"


async def test_a_feed_of_events_takes_a_quarter_of_the_bytes() -> None:
    options = Settings()
    script: Script = [("join", 0, [], False), *[("publish", 0, [text], False) for text in TEXTS]]
    plain = await played(script, options, as_events)
    room = Room("/", options, counters := Counters(), Histories(options).open("/"))
    members = [Listener(options, as_gzip_events) for _ in range(3)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.broadcast)
        for member in members:
            room.add(member)
        for text in TEXTS:
            await room.publish(Batch(Origin.APPLICATION, frames.encode(text), 1))
            await room.flush()
        nursery.cancel_scope.cancel()
    for member in members:
        assert (await member.read()).count(b"data: ") == len(TEXTS)
        assert member.size < len(plain[0]) / 4
    assert counters.contexts_begun == 1


@given(st.binary(max_size=200_000))
def test_stored_is_what_it_was(data: bytes) -> None:
    whole = gzip_stream.HEAD + gzip_stream.stored(data) + gzip_stream.NOTHING
    assert zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(whole) == data


def test_large_ones_are_stored_in_several_blocks() -> None:
    data = random.Random(1).randbytes(200_000)
    whole = gzip_stream.HEAD + gzip_stream.stored(data)
    assert zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(whole) == data
    assert len(whole) == 10 + len(data) + 4 * 5
