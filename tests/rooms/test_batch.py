"""A batch: its other encodings are made once, and an excerpt shares what it can afford to share."""

from __future__ import annotations

from trioecho.protocol import frames
from trioecho.rooms.batch import COPIED_BYTES, Batch, Excerpt, Origin, as_events, excerpt


def test_an_encoding_is_made_when_first_asked_for_and_then_kept() -> None:
    made: list[Batch] = []

    def reversed_frames(batch: Batch) -> bytes:
        made.append(batch)
        return batch.frames[::-1]

    batch = Batch(Origin.APPLICATION, frames.encode("hello"), 1)
    batch.epoch, batch.offset = "k3x9f2aa", 41
    assert not made
    assert batch.encoded(reversed_frames) == batch.frames[::-1]
    assert batch.encoded(reversed_frames) is batch.encoded(reversed_frames)
    assert batch.encoded(as_events) == b"id: k3x9f2aa-42\ndata: hello\n\n"
    assert batch.encoded(None) is batch.frames
    assert made == [batch]


def test_an_excerpt_of_most_of_a_whole_holds_the_whole_and_no_copy() -> None:
    whole = bytes(2 * COPIED_BYTES)
    view = memoryview(whole)
    some = excerpt([view[:COPIED_BYTES], view[COPIED_BYTES + 10 :]], 5, len(whole))
    assert isinstance(some, Excerpt)
    assert all(isinstance(each, memoryview) and each.obj is whole for each in some.buffers(None))
    assert some.frames == whole[10:]
    assert (some.size, some.count) == (len(whole) - 10, 5)
    assert some.cost > some.size
    assert some.encoded(lambda batch: batch.frames[:3]) == bytes(3)


def test_an_excerpt_of_little_is_a_copy_and_lets_the_whole_go() -> None:
    """Or a client that is sent little, and reads nothing, would hold everything that others are sent."""
    whole = memoryview(bytes(100 * COPIED_BYTES))
    for size in (10, COPIED_BYTES, 49 * COPIED_BYTES):
        little = excerpt([whole[:size]], 1, len(whole))
        assert not isinstance(little, Excerpt)
        assert isinstance(little.frames, bytes) and little.frames == bytes(size)
