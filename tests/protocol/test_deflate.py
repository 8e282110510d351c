"""
Compressed messages in the decoder: each equals its plain twin, however it was compressed and cut.

What can't be inflated goes to trio-websocket as it came. What is inflated is bounded in bytes and in work.
"""

from __future__ import annotations

import random
import zlib

import pytest
from helpers.bombs import empty_blocks, zeros
from helpers.traffic import masked, messages, splits
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho.memory import Memory
from trioecho.protocol import frames
from trioecho.protocol.decoder import Decoder
from trioecho.protocol.deflate import MAX_STREAMS, TAIL, TooLarge, compressor, slack
from trioecho.protocol.inflater import (
    INPUT_WORK,
    OUTPUT_BYTES,
    SLICE_WORK,
    STREAM_WORK,
    Inflater,
    Invalid,
)

MIB = 2**20
RSV1 = 0x40

cuts = st.lists(st.integers(0, 2**20), max_size=8)


def deflated(
    payload: bytes, level: int = 6, window: int = 15, flush: int = zlib.Z_SYNC_FLUSH, *, last: bool = False
) -> bytes:
    """A message as a client may compress it; ``last``: with the end of a stream in it (RFC 7692, 7.2.3.4)."""
    using = zlib.compressobj(level, wbits=-window)
    data = using.compress(payload)
    if last:
        return data + using.flush(zlib.Z_FINISH) + b"\0"
    return (data + using.flush(flush)).removesuffix(TAIL)


def decoded(decoder: Decoder, pieces: list[bytes]) -> tuple[list[str | bytes], bytes]:
    """The messages that the decoder gives, and what it leaves, as the wire asks it."""
    found: list[str | bytes] = []
    left = b""
    for piece in pieces:
        data = piece
        while data or decoder.inflating:
            made, rest = decoder.feed(data)
            found += [message for frame in made for message in frames.messages(frame)]
            left += rest
            data, decoder.waiting = decoder.waiting, b""
    return found, left


compressed_messages = st.builds(
    lambda message, level, window, flush, last, compressed, at: (
        message,
        deflated(message.encode() if isinstance(message, str) else message, level, window, flush, last=last)
        if compressed
        else None,
        at,
    ),
    messages,
    st.integers(0, 9),
    st.integers(9, 15),
    st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH]),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(0, 100), max_size=3),
)


@settings(max_examples=300)
@given(st.lists(compressed_messages, max_size=5), cuts, st.booleans())
def test_a_compressed_message_equals_its_plain_twin(
    sent: list[tuple[str | bytes, bytes | None, list[int]]], cuts: list[int], pinged: bool
) -> None:
    """At any level and window, whole or in fragments with pings between them, cut anywhere."""
    data, ping = b"", masked(0x89, b"?")
    pings = 0
    for message, compressed, at in sent:
        opcode = 0x01 if isinstance(message, str) else 0x02
        payload = message.encode() if isinstance(message, str) else message
        if compressed is not None:
            payload, opcode = compressed, opcode | RSV1
        parts = splits(payload, at) if at else [payload]
        parts = list(parts) or [b""]
        for number, part in enumerate(parts):
            first = opcode if number == 0 else 0
            data += masked(first | 0x80 * (number == len(parts) - 1), part)
            if pinged and number < len(parts) - 1:
                data, pings = data + ping, pings + 1
    decoder = Decoder(MIB, compressed=True)
    assert decoded(decoder, list(splits(data, cuts))) == ([message for message, _, _ in sent], pings * ping)
    assert not decoder.passthrough


@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize(
    "payload",
    [b"\xff\xff\xff", b"\x07", deflated(1000 * b"abc")[:-5], b""],
    ids=["no deflate", "a reserved block type", "cut off", "nothing"],
)
def test_what_cannot_be_inflated_goes_to_the_library_with_its_reserved_bit(
    payload: bytes, fragments: bool
) -> None:
    decoder = Decoder(MIB, compressed=True)
    before = masked(0x82, b"before")
    data = masked(0x41, b"") + masked(0x80, payload) if fragments else masked(0xC1, payload)
    found, left = decoded(decoder, [before + data + masked(0x82, b"after")])
    assert found == [b"before"] and decoder.passthrough
    assert left[0] & RSV1


@pytest.mark.parametrize("fragments", [False, True])
def test_text_that_is_not_utf8_goes_to_the_library_inflated(fragments: bool) -> None:
    """It says 1007 to that; to a compressed frame it would say 1002."""
    decoder, payload = Decoder(MIB, compressed=True), deflated(b"\xff" * 200)
    data = masked(0x41, payload[:2]) + masked(0x80, payload[2:]) if fragments else masked(0xC1, payload)
    found, left = decoded(decoder, [data + masked(0x89, b"")])
    assert found == [] and decoder.passthrough
    assert left.startswith(b"\x81\xfe\x00\xc8\0\0\0\0\xff") and left.endswith(masked(0x89, b""))


def test_without_an_agreement_a_compressed_frame_is_wrong() -> None:
    decoder, data = Decoder(MIB), masked(0xC2, deflated(b"x"))
    assert decoded(decoder, [data]) == ([], data)
    assert decoder.passthrough


@pytest.mark.parametrize("first", [0xC0, 0x40, 0xC8, 0xC9, 0xA2, 0xE2])
def test_the_bit_is_only_for_the_first_frame_of_a_message(first: int) -> None:
    decoder, data = Decoder(MIB, compressed=True), masked(first, b"x")
    assert decoded(decoder, [data]) == ([], data)
    assert decoder.passthrough


def test_a_compressed_message_inside_a_fragmented_one_is_wrong() -> None:
    decoder, data = Decoder(MIB, compressed=True), masked(0x02, b"x") + masked(0xC2, deflated(b"y"))
    found, left = decoded(decoder, [data])
    assert found == [] and decoder.passthrough and left.endswith(data[7:])


@given(st.integers(0, 3000), st.integers(1, 2500), st.booleans())
def test_the_limit_is_for_what_a_message_is_when_inflated(size: int, largest: int, fragments: bool) -> None:
    decoder = Decoder(largest, compressed=True)
    payload = deflated(random.Random(size).randbytes(size))
    data = masked(0x42, payload[:9]) + masked(0x80, payload[9:]) if fragments else masked(0xC2, payload)
    found, _ = decoded(decoder, [data])
    assert len(found) == (size <= largest)
    assert decoder.too_big == (size > largest)


def test_what_is_too_large_even_for_a_compressed_message_is_not_kept() -> None:
    largest = 10_000
    decoder = Decoder(largest, compressed=True)
    head = masked(0xC2, (largest + slack(largest) + 1) * b"x")[:14]
    assert decoder.feed(head) == ([], b"")
    assert decoder.too_big
    pieces = Decoder(largest, compressed=True)
    decoded(pieces, [masked(0x42, 6000 * b"x"), masked(0x00, 6000 * b"x")])
    assert pieces.too_big


def test_no_level_of_zlib_makes_a_message_grow_beyond_the_slack() -> None:
    for size in (0, 1, 100, 5000, 2**20):
        noise = random.Random(size).randbytes(size)
        for level in range(1, 10):
            assert len(deflated(noise, level)) <= size + slack(size)


def inflate(payload: bytes, largest: int = MIB) -> bytes:
    """Inflate a message at one go."""
    inflater = Inflater(0x82, payload, largest)
    inflater.go_on(2**40)
    assert inflater.frame is not None
    ((_, message),) = frames.payloads(inflater.frame)
    return message


def test_a_bomb_is_inflated_to_the_limit_and_no_further() -> None:
    inflater = Inflater(0x82, zeros(64 * MIB), MIB)
    with pytest.raises(TooLarge):
        inflater.go_on(2**40)
    assert inflater.size == MIB + 1


def test_a_message_of_many_streams_is_given_up_early() -> None:
    empty = b"\x03\x00"
    assert inflate((MAX_STREAMS - 2) * empty + deflated(b"end")) == b"end"
    with pytest.raises(Invalid):
        inflate(50_000 * empty)


def slices(data: bytes, decoder: Decoder) -> list[tuple[int, int]]:
    """Decode at one read; how many messages came of each slice, and how many bytes were inflated in it."""
    done, before = [], 0
    while data or decoder.inflating:
        found, _ = decoder.feed(data)
        data, decoder.waiting = decoder.waiting, b""
        done.append((len(found), decoder.inflated - before))
        before = decoder.inflated
    return done


def test_what_goes_in_is_work_even_if_nothing_comes_out() -> None:
    decoder, sent = Decoder(MIB, compressed=True), empty_blocks(MIB // 2)
    done = slices(masked(0xC2, sent), decoder)
    assert len(done) >= len(sent) * INPUT_WORK / SLICE_WORK
    assert sum([found for found, _ in done]) == 1 and not decoder.passthrough


def test_what_comes_out_is_work_in_one_message_and_in_many() -> None:
    for sent, count in ((zeros(MIB), 1), (zeros(10_000), 100), (deflated(100 * b"x"), 2000)):
        decoder = Decoder(MIB, compressed=True)
        done = slices(count * masked(0xC2, sent), decoder)
        assert max([made for _, made in done]) <= SLICE_WORK + OUTPUT_BYTES
        assert sum([found for found, _ in done]) == count
        assert len(done) >= (count * len(sent) * INPUT_WORK + decoder.inflated) / (SLICE_WORK + OUTPUT_BYTES)


def test_an_inflater_for_each_stream_is_work() -> None:
    sent, count = 6 * b"\x03\x00" + deflated(b"end"), 1000
    done = slices(count * masked(0xC2, sent), Decoder(MIB, compressed=True))
    assert len(done) >= count * 6 * STREAM_WORK / SLICE_WORK / 2


def test_pings_and_messages_that_come_behind_one_that_takes_long_wait_for_it() -> None:
    decoder, ping = Decoder(MIB, compressed=True), masked(0x89, b"?")
    sent = masked(0x82, b"before") + masked(0xC2, empty_blocks(100_000)) + ping + masked(0x82, b"behind")
    found, left = decoded(decoder, [sent])
    assert (found, left) == ([b"before", b"", b"behind"], ping)


def test_what_is_being_inflated_counts_as_held_and_does_not_count_as_unfinished() -> None:
    memory = Memory()
    decoder, sent = Decoder(MIB, memory, compressed=True), zeros(MIB // 2) + TAIL + empty_blocks(100_000)
    decoder.feed(masked(0xC2, sent) + masked(0x82, bytes(1000))[:-1])
    assert decoder.inflating and decoder.began is None
    while decoder.inflated < MIB // 2:
        assert memory.held == decoder.unfinished >= len(sent) + decoder.inflated
        decoder.feed(decoder.waiting)
    decoder.forget()
    assert memory.held == 0 and not decoder.inflating
    assert decoder.feed(b"whatever") == ([], b"")


def test_a_compressor_refers_back_to_nothing_when_it_is_new() -> None:
    for _ in range(2):
        using = compressor(3)
        data = using.compress(b"hello hello") + using.flush(zlib.Z_SYNC_FLUSH)
        assert inflate(data.removesuffix(TAIL)) == b"hello hello"
