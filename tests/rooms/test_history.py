"""A history against a model: a list of all messages, of which the newest are kept within the bounds."""

from __future__ import annotations

import tracemalloc
from typing import Any

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin
from trioecho.rooms.histories import Histories
from trioecho.rooms.history import ENTRY_COST, PAGE_BYTES, PAGE_ENTRIES, STEP_BYTES, History
from trioecho.rooms.place import Place
from trioecho.settings import Settings

Message = str | bytes


def batch_of(messages: list[Message]) -> Batch:
    return Batch(Origin.FANNED_OUT, b"".join(map(frames.encode, messages)), len(messages))


def history_with(**options: Any) -> History:
    return Histories(Settings(**options)).open("/")


def read(history: History, offset: int) -> list[Message]:
    """Read all from an offset on, page by page."""
    found: list[Message] = []
    while (batch := history.page(offset)) is not None:
        assert (batch.epoch, batch.offset) == (history.epoch, offset)
        messages = list(frames.messages(batch.frames))
        assert len(messages) == batch.count > 0
        found += messages
        offset += batch.count
    assert offset == history.offset
    return found


batches = st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=200)), min_size=1, max_size=20)


class HistoryMachine(RuleBasedStateMachine):
    """Messages are fanned out and time passes; after every step, each place is read."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.said: list[tuple[float, Message]] = []
        self.settings = Settings(history=30, history_bytes=4_000, history_age=10)
        self.clock = trio.testing.MockClock()
        self.history = self.inside(lambda: Histories(self.settings).open("/"))
        self.fan_outs: list[int] = []

    def inside(self, do: Any) -> Any:
        """Do something at the present virtual time."""

        async def main() -> Any:
            return do()

        clock = trio.testing.MockClock()
        clock.jump(self.now)
        return trio.run(main, clock=clock)

    @rule(messages=batches)
    def fan_out(self, messages: list[Message]) -> None:
        batch = batch_of(messages)
        self.inside(lambda: self.history.add(batch))
        assert (batch.epoch, batch.offset) == (self.history.epoch, len(self.said))
        self.said += [(self.now, message) for message in messages]
        self.fan_outs.append(len(messages))

    @rule(seconds=st.floats(0.1, 11))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.inside(self.history.forget_old)

    @rule()
    def forget_oldest(self) -> None:
        self.inside(self.history.forget_oldest)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def read_from_anywhere(self, data: st.DataObject) -> None:
        offset = data.draw(st.integers(self.history.first, self.history.offset))
        assert read(self.history, offset) == [message for _, message in self.said[offset:]]

    @invariant()
    def what_is_kept_is_the_newest_within_the_bounds(self) -> None:
        history, said = self.history, self.said
        assert history.offset == len(said)
        kept = said[history.first :]
        if not kept:
            assert history.cost == 0
            return
        assert kept[0][0] >= self.now - 10
        newest = self.fan_outs[-1]
        assert len(kept) - newest < 30 + 4 * 20
        assert history.cost <= 4_000 or len(kept) == newest
        assert history.knows(Place(history.epoch, len(said)))
        assert not history.knows(Place(history.epoch, len(said) + 1))
        assert not history.knows(Place("aaaaaaaa", 0))


TestHistory = HistoryMachine.TestCase


async def test_at_least_so_many_messages_are_kept_as_are_asked_for() -> None:
    history = history_with(history=100)
    for number in range(1_000):
        history.add(batch_of([str(number), str(-number), "x"]))
        kept = history.offset - history.first
        assert kept == history.offset or 100 <= kept < 100 + 3 * STEP_BYTES / ENTRY_COST


async def test_without_history_messages_are_numbered_and_not_kept() -> None:
    history = history_with(history=0)
    history.add(batch_of(["one", "two"]))
    assert history.place == Place(history.epoch, 2)
    assert (history.first, history.cost) == (2, 0)
    assert history.page(2) is None


async def test_a_page_is_bounded_and_shares_the_bytes_of_large_fan_outs() -> None:
    history = history_with(history=100_000, history_bytes=2**26)
    for _ in range(2_000):
        history.add(batch_of(["x" * 100]))
    page = history.page(0)
    assert page is not None
    assert page.count == PAGE_ENTRIES
    large = batch_of(["x" * 30_000] * 10)
    history.add(large)
    page = history.page(2_000)
    assert page is not None and page.frames is large.frames
    tail = history.page(2_003)
    assert tail is not None and tail.count == 7
    (piece,) = tail.buffers(None)
    assert isinstance(piece, memoryview) and piece.obj is large.frames
    history.add(batch_of(["y" * (PAGE_BYTES - 10_000)]))
    history.add(batch_of(["z" * 20_000]))
    last = history.page(2_010)
    assert last is not None and last.count == 1


@given(st.integers(0, 5_000), st.sampled_from(["", "x" * 125, "x" * 126, "x" * 70_000]))
def test_a_reader_may_begin_anywhere_in_a_fan_out(number: int, text: str) -> None:
    messages: list[Message] = ["y"] * 5_000
    for place in (0, 100, 255, 256, 257, 4_999):
        messages[place] = text

    async def main() -> None:
        history = history_with(history_bytes=2**26)
        history.add(batch_of(messages))
        for offset in (number, 5_000 - number):
            assert read(history, offset) == messages[offset:]

    trio.run(main)


async def test_beginning_in_the_middle_of_a_huge_fan_out_is_worked_out_once() -> None:
    """262,144 empty messages are 512 KiB: whoever comes back into their midst must not cost a walk each."""
    history = history_with()
    history.add(Batch(Origin.FANNED_OUT, b"\x81\x00" * 2**18, 2**18))
    assert read_count(history, 200_000) == 2**18 - 200_000
    began = trio.current_time()
    for offset in range(100_000, 200_000, 1_000):
        assert read_count(history, offset) == 2**18 - offset
    assert trio.current_time() - began < 1, "some 0.01 s are usual; 2 s with a walk for each"


def read_count(history: History, offset: int) -> int:
    page = history.page(offset)
    assert page is not None
    return page.count


async def test_what_is_kept_costs_what_it_is_taken_to_cost() -> None:
    history = history_with(history=1_000_000, history_bytes=2**30, history_total=2**30)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(10_000):
        history.add(batch_of([f"{number:0100}"]))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 <= history.cost - 10_000 * (102 + ENTRY_COST) <= STEP_BYTES
    assert 0.7 * history.cost < after - before < 1.1 * history.cost
