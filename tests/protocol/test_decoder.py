"""
The express decoder: it gives what wsproto would give, in the same order, with the same end.

The decoder never decides that something is wrong, so the test that counts is a differential one: the same
bytes, split anywhere, once through the decoder with wsproto for what it leaves, and once through wsproto
alone.
"""

from __future__ import annotations

import codecs
import tracemalloc
from collections.abc import Iterable

import pytest
from helpers.traffic import (
    Reader,
    Seen,
    binaries,
    by_client,
    conversations,
    masked,
    messages,
    seen_as,
    splits,
    texts,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wsproto.connection import CLIENT, Connection
from wsproto.events import Ping

import trioecho.protocol.decoder
import trioecho.protocol.large_frames
from trioecho.protocol import frames
from trioecho.protocol.decoder import SLICE_CONTROLS, SLICE_FRAMES, Decoder

MIB = 2**20

cuts = st.lists(st.integers(0, 2**20), max_size=12)


def through(decoder: Decoder, pieces: Iterable[bytes]) -> list[Seen]:
    """Do as the wire does: messages first, then what is left over to wsproto, then what waits."""
    library = Reader(client=False)
    for piece in pieces:
        data = piece
        while data:
            found, rest = decoder.feed(data)
            for frame in found:
                library.seen += [seen_as(message) for message in frames.messages(frame)]
            if rest:
                library.feed(rest)
            if library.ended:
                return library.seen
            data, decoder.waiting = decoder.waiting, b""
    return library.seen


@settings(max_examples=400)
@given(conversations(), cuts)
def test_the_lane_and_wsproto_see_what_wsproto_alone_sees(conversation: bytes, cuts: list[int]) -> None:
    alone = Reader(client=False)
    for piece in splits(conversation, cuts):
        alone.feed(piece)
    assert through(Decoder(MIB), splits(conversation, cuts)) == alone.seen


@given(st.lists(st.tuples(messages, cuts, st.booleans()), max_size=5), cuts)
def test_what_a_wsproto_client_sends_arrives_without_the_library(
    sent: list[tuple[str | bytes, list[int], bool]], cuts: list[int]
) -> None:
    """In fragments and with pings between them, split anywhere: the decoder stays on for all of it."""
    client, decoder = Connection(CLIENT), Decoder(MIB)
    data = bytearray()
    expected: list[Seen] = []
    for message, fragments, pinged in sent:
        parts = by_client(client, message, fragments[:3])
        for part in parts[:-1]:
            data += part
            if pinged:
                data += client.send(Ping(b"between"))
                expected.append(("ping", b"between"))
        data += parts[-1]
        expected.append(seen_as(message))
    assert through(decoder, splits(bytes(data), cuts)) == expected
    assert not decoder.passthrough


@given(st.integers(0, 70), st.integers(1, 70), cuts, cuts)
def test_the_limit_is_the_last_size_the_lane_takes_whole_or_in_fragments(
    size: int, largest: int, fragments: list[int], cuts: list[int]
) -> None:
    decoder = Decoder(largest)
    data = b"".join(by_client(Connection(CLIENT), size * b"x", fragments))
    fits = size <= largest
    assert through(decoder, splits(data, cuts)) == ([("binary", size * b"x")] if fits else [])
    assert decoder.too_big == (not fits)


def test_the_limit_counts_bytes_and_not_characters() -> None:
    decoder = Decoder(10)
    through(decoder, [masked(0x81, 5 * "é".encode())])
    assert not decoder.passthrough
    through(decoder, [masked(0x81, 6 * "é".encode())])
    assert decoder.passthrough


@given(texts | binaries, cuts)
def test_nothing_that_follows_a_close_frame_is_taken(message: str | bytes, cuts: list[int]) -> None:
    decoder = Decoder(MIB)
    late = b"".join(by_client(Connection(CLIENT), message, []))
    assert through(decoder, splits(masked(0x88, b"\x03\xe8") + late, cuts)) == [("close", 1000)]
    assert decoder.closed
    assert decoder.feed(late) == ([], b"")


def test_once_our_close_frame_is_out_a_ping_is_not_passed_on() -> None:
    """trio-websocket would answer it, after a close frame, and fail over that."""
    decoder = Decoder(MIB)
    decoder.closing = True
    assert decoder.feed(masked(0x89, b"ping") + masked(0x8A, b"pong")) == ([], b"")
    goodbye = masked(0x88, b"\x03\xe8")
    assert decoder.feed(goodbye) == ([], goodbye)


@given(st.integers(0, 3 * SLICE_FRAMES), st.sampled_from([b"", b"x"]))
def test_no_slice_has_more_frames_than_its_bound_and_nothing_is_lost_between_them(
    count: int, payload: bytes
) -> None:
    decoder, slices = Decoder(MIB), []
    decoder.waiting = count * masked(0x82, payload)
    while decoder.waiting:
        data, decoder.waiting = decoder.waiting, b""
        found, rest = decoder.feed(data)
        assert rest == b""
        slices.append(len(found))
    assert sum(slices) == count
    assert all(size <= SLICE_FRAMES for size in slices)


def test_no_slice_has_more_control_frames_than_trio_websocket_answers_in_a_turn() -> None:
    decoder, ping = Decoder(MIB), masked(0x89, b"?")
    assert decoder.feed(10 * ping) == ([], SLICE_CONTROLS * ping)
    assert decoder.waiting == (10 - SLICE_CONTROLS) * ping


large = st.integers(60_000, 220_000)


@settings(max_examples=30)
@example(65_536, 0x81, False, [10, 14], b"")
@given(large, st.sampled_from([0x81, 0x82]), st.booleans(), cuts, st.binary(max_size=40))
def test_a_large_frame_is_the_same_however_it_comes(
    size: int, first: int, fragments: bool, cuts: list[int], behind: bytes
) -> None:
    """Its mask is taken off as it comes, in step with where it is cut."""
    payload = (bytes(range(128)) * (size // 128 + 1))[:size]
    data = masked(first, payload)
    if fragments:
        data = masked(first & 0x0F, payload) + masked(0x89, b"?") + masked(0x80, payload)
    data += masked(0x82, behind)
    alone, decoder = Reader(client=False), Decoder(MIB)
    for piece in splits(data, cuts):
        alone.feed(piece)
    assert through(decoder, splits(data, cuts)) == alone.seen
    assert not decoder.passthrough


@settings(max_examples=30)
@given(large, st.data(), cuts)
def test_a_large_frame_that_is_wrong_is_left_to_wsproto_as_it_is(
    size: int, data: st.DataObject, cuts: list[int]
) -> None:
    payload = bytearray(size * b"x")
    payload[data.draw(st.integers(0, size - 1))] = 0xFF
    sent = masked(0x81, bytes(payload)) + masked(0x82, b"behind")
    alone, decoder = Reader(client=False), Decoder(MIB)
    for piece in splits(sent, cuts):
        alone.feed(piece)
    assert through(decoder, splits(sent, cuts))[-1] == alone.seen[-1]
    assert decoder.passthrough


def test_no_read_of_a_large_frame_makes_more_work_than_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted is what is taken off its mask: 64 KiB a read, and not a MiB when the last one comes."""
    unmasked: list[int] = []

    def counted(payload: bytes | bytearray, mask: bytes | bytearray) -> bytes:
        unmasked[-1] += len(payload)
        return frames.xor(payload, mask)

    for module in (trioecho.protocol.decoder, trioecho.protocol.large_frames):
        monkeypatch.setattr(module, "xor", counted)
    decoder, sent = Decoder(2 * MIB), 3 * masked(0x82, bytes(MIB))
    for at in range(0, len(sent), SLACK):
        unmasked.append(0)
        decoder.feed(sent[at : at + SLACK])
    assert sum(unmasked) == 3 * MIB
    assert max(unmasked) <= SLACK + 4


# What it holds. Memory is what is bounded, so memory is what is measured.

LARGEST = 100_000
SLACK = 64 * 1024


MODULES = (trioecho.protocol.decoder, frames, codecs)
WHERE = [tracemalloc.Filter(True, str(module.__file__)) for module in MODULES]
"""Where a decoder allocates. Only that is counted: a test runner has threads that allocate meanwhile too."""


def held_by(decoder: Decoder, data: bytes, read: int) -> int:
    """Feed ``data`` in reads of this size, and return how much of what that allocated is left (bytes)."""
    tracemalloc.start()
    try:
        for at in range(0, len(data), read):
            decoder.feed(data[at : at + read])
            while decoder.waiting:
                waiting, decoder.waiting = decoder.waiting, b""
                decoder.feed(waiting)
        left = tracemalloc.take_snapshot().filter_traces(WHERE)
        return sum([each.size for each in left.statistics("filename")])
    finally:
        tracemalloc.stop()


def test_endless_empty_fragments_hold_nothing() -> None:
    decoder = Decoder(LARGEST)
    decoder.feed(masked(0x02, b""))
    assert held_by(decoder, 20_000 * masked(0x00, b""), read=SLACK) < 1000
    assert not decoder.passthrough


def test_a_frame_that_dribbles_in_holds_no_more_than_its_size() -> None:
    """Kept as they come, reads of two bytes would be objects of 35 bytes, each with a place in a list."""
    frame = masked(0x82, LARGEST * b"x")
    assert held_by(Decoder(LARGEST), frame[:-1], read=2) < LARGEST + SLACK


def test_fragments_and_a_frame_to_come_hold_no_more_than_a_message_may() -> None:
    """A frame whose header says that the message will be too large is not waited for."""
    decoder = Decoder(LARGEST)
    begun, too_much = masked(0x02, LARGEST * b"x"), masked(0x00, LARGEST * b"x")
    assert held_by(decoder, begun + too_much[:-1], read=SLACK) < LARGEST + SLACK
    assert decoder.passthrough
