"""Where somebody who comes back may begin, who is measured meanwhile, and who is waited for."""

from __future__ import annotations

import pytest

from trioecho.bench.latency import Latency
from trioecho.bench.messages import Messages
from trioecho.bench.returning import InterruptedStream, ReturnedTrack
from trioecho.bench.track import Faults, Track


class Place:
    """A client's place in a stream of which ten messages are sent, joined after ``joined`` of them."""

    def __init__(self, joined: int) -> None:
        self.stream = InterruptedStream(Messages(0, count=40, size=20, text=True), 10, Latency(), [])
        self.stayer = Track(self.stream)
        self.stream.send(joined, 0)
        self.track = ReturnedTrack(self.stream)
        self.stream.send(10 - joined, 0)
        self.faults = Faults()

    def hear(self, *numbers: int) -> dict[str, int]:
        """It gets these messages, and then no more; returns what was wrong with that."""
        for number in numbers:
            self.track.arrived(number, 1, self.faults)
        self.track.finish(self.faults)
        return {name: count for name, count in self.faults.counts().items() if count}


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        pytest.param(range(6, 10), {}, id="from-its-place-on"),
        pytest.param(range(3, 10), {}, id="from-before-its-place-on"),
        pytest.param(range(7, 10), {"lost": 1}, id="one-too-late"),
        pytest.param([3, 5, 6, 7, 8, 9], {"lost": 1}, id="a-gap-before-its-place"),
        pytest.param([4, 6, 7, 8, 9], {"lost": 1}, id="a-gap-up-to-its-place"),
        pytest.param([4, 5, 6, 7, 9], {"lost": 1}, id="a-gap-after-its-place"),
        pytest.param([3, 5, 4, 6, 7, 8, 9], {"out_of_order": 1}, id="out-of-order-before-its-place"),
        pytest.param([4, 4, 5, 6, 7, 8, 9], {"duplicated": 1}, id="twice-before-its-place"),
        pytest.param([6, 5, 7, 8, 9], {"duplicated": 1}, id="back-again"),
        pytest.param([], {"lost": 4}, id="nothing"),
    ],
)
def test_where_somebody_who_comes_back_may_begin(numbers: list[int], wrong: dict[str, int]) -> None:
    place = Place(joined=6)
    assert place.stream.waiting == {place.track.follower}
    assert place.hear(*numbers) == wrong
    assert place.stream.waiting == set()


def test_only_those_who_stay_are_measured() -> None:
    place = Place(joined=6)
    place.stream.watched.since = 0
    place.stream.stayed.add(place.stayer.follower)
    place.hear(*range(6, 10))
    assert not place.stream.watched.counts
    for number in range(10):
        place.stayer.arrived(number, 1, place.faults)
    assert sum(place.stream.watched.counts.values()) == 10


def test_the_window_waits_for_those_who_came_back() -> None:
    place = Place(joined=6)
    for number in range(10):
        place.stayer.arrived(number, 1, place.faults)
    assert (place.stream.floor, place.stream.room) == (6, 6)
    place.track.arrived(6, 1, place.faults)
    assert place.stream.floor == 7


def test_what_a_publisher_that_is_gone_did_not_send_is_not_lost() -> None:
    """Ten messages were begun, but its connection took only four of them; it joined when six were begun."""
    place = Place(joined=6)
    place.stream.end(4)
    assert place.hear() == {}


def test_what_was_sent_before_a_publisher_left_is_missed_from_the_first_that_came() -> None:
    place = Place(joined=6)
    place.stream.end(5)
    assert place.hear(2, 3) == {"lost": 1}
