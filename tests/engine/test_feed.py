"""A feed against a model of a log: whatever becomes of pushes, everything is delivered once and in order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from trioecho.engine.feed import Entry, Feed, State
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.log import Jump, Remembered
from trioecho.rooms.place import Place

EPOCH, NEXT = "aaaaaaaa", "bbbbbbbb"
OWN = b"own"


class Reader:
    """A room that has space for so many batches at a time, and what it was given."""

    name = "/"

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.missed: list[int | None] = []
        self.space = 3
        self.offset = 0

    @property
    def has_space(self) -> bool:
        return self.space > 0

    def opened(self, place: Place, past: Sequence[Remembered]) -> None:
        self.offset = place.offset

    def deliver(self, batch: Batch) -> bool:
        if isinstance(batch, Jump):
            self.offset = batch.place.offset
            if batch.missed != 0:
                self.missed.append(batch.missed)
            return self.has_space
        self.offset += batch.count
        if batch.source is not Origin.KNOWN:
            self.heard += frames.messages(batch.frames)
            self.space -= 1
        return self.has_space


class Log:
    """A log as the engine has it: nodes append, and some of the oldest may go."""

    def __init__(self) -> None:
        self.epoch = EPOCH
        self.began = 0
        self.entries: list[Entry] = []
        self.numbers: dict[bytes, int] = {}
        self.said: list[str] = []

    @property
    def top(self) -> int:
        return self.entries[-1].top if self.entries else 0

    def append(self, node: bytes, count: int) -> Entry:
        number = self.numbers[node] = self.numbers.get(node, 0) + 1
        texts = [f"{node.decode()}{number}.{part}" for part in range(count)]
        self.said += texts
        data = b"".join(map(frames.encode, texts))
        self.entries.append(Entry(self.top + count, count, node, b"%d" % number, data))
        return self.entries[-1]

    def since(self, offset: int, most: int) -> list[Entry]:
        return [entry for entry in self.entries if entry.top > offset][:most]


def read(feed: Feed, log: Log, most: int = 2) -> bool:
    """Answer what a feed asks for; whether it asks for more."""
    if feed.epoch != log.epoch:
        return feed.answered(log.epoch, log.top, log.began, ())
    return feed.answered(log.epoch, log.top, 0, log.since(feed.offset, most))


def catch_up(feed: Feed, room: Reader, log: Log) -> None:
    """Give the room space and read until the feed is level with the log."""
    while True:
        room.space = 3
        if feed.state is State.LEVEL and feed.offset == log.top and feed.epoch == log.epoch:
            return
        if feed.state is State.BEHIND:
            feed.on_space()
        feed.state = State.READING
        read(feed, log)


actions = st.lists(
    st.tuples(
        st.sampled_from([b"one", b"two", OWN]),
        st.integers(1, 3),
        st.sampled_from(["pushed", "lost", "twice", "late"]),
        st.booleans(),
    ),
    max_size=40,
)


@given(actions)
def test_everything_is_delivered_once_and_in_order_whatever_becomes_of_pushes(
    steps: list[tuple[bytes, int, str, bool]],
) -> None:
    room, log = Reader(), Log()
    feed = Feed(room, OWN)
    feed.opened(Place(EPOCH, 0), (b"", b""), ())
    late: list[Entry] = []
    for node, count, push, space in steps:
        entry = log.append(node, count)
        if node == OWN:
            feed.expect(int(entry.number), Batch(room, entry.frames, count))
        pushes = {"pushed": [entry], "lost": [], "twice": [entry, entry], "late": []}[push]
        for one in (*pushes, *late):
            if feed.pushed(EPOCH, one):
                read(feed, log)
        late = [entry] if push == "late" else []
        if space and feed.on_space():
            room.space = 3
            read(feed, log)
        assert room.offset == feed.offset
    mark = feed.mark()
    catch_up(feed, room, log)
    assert room.heard == log.said
    assert room.missed == []
    assert feed.pending == 0 and (mark is None or mark.is_set())


@given(actions, st.integers(0, 10), st.integers(0, 40))
def test_what_a_log_has_forgotten_is_told_exactly(
    steps: list[tuple[bytes, int, str, bool]], heard: int, forgotten: int
) -> None:
    room, log = Reader(), Log()
    feed = Feed(room, OWN)
    feed.opened(Place(EPOCH, 0), (b"", b""), ())
    for number, (node, count, _, _) in enumerate(steps):
        entry = log.append(node, count)
        if number < heard:
            feed.pushed(EPOCH, entry)
    kept = log.entries[forgotten:] or log.entries[-1:]
    log.entries = kept
    catch_up(feed, room, log)
    told = sum(missed or 0 for missed in room.missed)
    assert None not in room.missed
    assert len(room.heard) + told == len(log.said)
    assert room.heard == [text for text in log.said if text in set(room.heard)]


@given(actions, st.integers(0, 20), st.integers(0, 20))
def test_what_is_appended_again_to_a_log_that_was_cut_short_is_not_delivered_twice(
    steps: list[tuple[bytes, int, str, bool]], heard: int, kept: int
) -> None:
    """A replica takes over that has less than was told; every node appends again what it still has."""
    room, log = Reader(), Log()
    feed = Feed(room, OWN)
    feed.opened(Place(EPOCH, 0), (b"", b""), ())
    for number, (node, count, _, _) in enumerate(steps):
        entry = log.append(node, count)
        if number < heard:
            room.space = 3
            feed.pushed(EPOCH, entry)
    lost = log.entries[kept:]
    log.entries = log.entries[:kept]
    log.epoch, log.began = NEXT, log.top
    for entry in lost:
        log.entries.append(entry._replace(top=log.top + entry.messages))
    catch_up(feed, room, log)
    assert sorted(map(str, room.heard)) == sorted(log.said)
    assert room.missed == [None]
    assert room.offset == feed.offset == log.top
