"""A message as bytes: what we encode others can read, and we can take apart again."""

from __future__ import annotations

import pytest
from helpers.traffic import LENGTHS, Reader, messages, seen_as, splits
from hypothesis import example, given
from hypothesis import strategies as st

from trioecho.protocol import frames

cuts = st.lists(st.integers(0, 2**20), max_size=8)


@given(st.lists(messages, max_size=6), cuts)
@example([length * "x" for length in LENGTHS] + [length * b"x" for length in LENGTHS], [])
def test_wsproto_reads_what_we_encode_however_it_is_split(sent: list[str | bytes], cuts: list[int]) -> None:
    client = Reader(client=True)
    for data in splits(b"".join([frames.encode(message) for message in sent]), cuts):
        client.feed(data)
    assert client.seen == [seen_as(message) for message in sent]


@given(st.lists(messages, max_size=6))
@example([length * "x" for length in LENGTHS] + [length * b"x" for length in LENGTHS])
def test_joined_frames_come_apart_into_the_same_messages(sent: list[str | bytes]) -> None:
    assert list(frames.messages(b"".join([frames.encode(message) for message in sent]))) == sent


@pytest.mark.parametrize("buffer", [bytearray(b"\x00\xff"), memoryview(b"\x00\xff")])
def test_every_kind_of_buffer_is_a_binary_message(buffer: bytes) -> None:
    assert frames.encode(buffer) == frames.encode(b"\x00\xff")


def test_what_is_neither_text_nor_binary_is_refused() -> None:
    with pytest.raises(TypeError, match="str or bytes, not int"):
        frames.encode(7)  # type: ignore[arg-type]


def test_text_that_utf8_cannot_carry_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        frames.encode("\ud800")


@given(st.sampled_from([1000, 1001, 1008, 1009, 1011, 4999]), st.text(max_size=130))
@example(1008, 60 * "é" + "a\U0001f600")
def test_a_close_frame_says_its_code_and_as_much_of_its_reason_as_fits(code: int, reason: str) -> None:
    client = Reader(client=True)
    frame = frames.close(code, reason)
    client.feed(frame)
    assert client.seen == [("close", code)]
    said = frame[4:].decode()  # raises if a character was cut in two
    assert reason.startswith(said)
    assert said == reason or len((said + reason[len(said)]).encode()) > 123


def test_the_keepalive_ping_is_a_ping() -> None:
    client = Reader(client=True)
    client.feed(frames.PING)
    assert client.seen == [("ping", b"")]


@given(st.binary(max_size=20), st.binary(min_size=4, max_size=4), st.integers(0, 3))
def test_a_mask_comes_off_byte_by_byte_at_any_length(start: bytes, mask: bytes, pieces: int) -> None:
    payload = start + pieces * bytes(range(251)) * 260  # up to 190 KiB: in pieces, none of which divides it
    expected = bytes(map(int.__xor__, payload, mask * (len(payload) // 4 + 1)))
    assert frames.xor(payload, mask) == expected
    assert frames.xor(expected, mask) == payload
