"""The arithmetic of the load generator: percentiles, due times, windows, and what counts as which fault."""

from __future__ import annotations

import random

import pytest

from trioecho.bench.latency import Latency
from trioecho.bench.messages import Messages, identify
from trioecho.bench.pace import NEVER, Flood, Paced
from trioecho.bench.plan import Plan
from trioecho.bench.stream import Stream
from trioecho.bench.track import Faults, Track
from trioecho.options import OptionError
from trioecho.protocol.frames import BINARY, TEXT, BadFrame, header, masked, split


def stream(*, window: int = 4, followers: int = 0) -> Stream:
    made = Stream(Messages(7, count=16, size=20, text=True), window, Latency(), [])
    for _ in range(followers):
        made.follow()
    return made


def test_percentiles_are_within_the_rounding_and_never_too_good() -> None:
    latency = Latency()
    latency.since = 0
    chance = random.Random(1)
    took = sorted(int(chance.lognormvariate(13, 2)) for _ in range(20_000))
    for nanoseconds in took:
        latency.record([0], 0, 1, nanoseconds)
    for percent in (50, 90, 99, 99.9):
        exact = took[round(len(took) * percent / 100) - 1] / 1e6
        assert exact <= latency.percentile(percent) <= exact * 1.02
    assert latency.milliseconds()["max"] == took[-1] / 1e6


def test_a_read_of_many_messages_counts_each_from_its_own_due_time() -> None:
    latency = Latency()
    latency.since = 0
    latency.record([number * 1_000 for number in range(100)], 0, 100, 100_000)
    assert sum(latency.counts.values()) == 100
    assert latency.longest == 100_000
    assert 0.04 < latency.percentile(50) < 0.08


def test_what_was_due_before_the_measurement_is_not_counted() -> None:
    latency = Latency()
    latency.record([5], 0, 1, 10)
    latency.since = 6
    latency.record([5], 0, 1, 10)
    assert latency.percentile(50) == latency.longest == 0


def test_a_window_opens_when_the_last_follower_has_the_oldest_message() -> None:
    sent = stream(window=4, followers=2)
    sent.send(4, due=0)
    assert sent.room == 0
    sent.received(0, 3, now=1)
    assert (sent.room, sent.opened) == (0, [])
    sent.received(1, 2, now=1)
    assert (sent.room, sent.opened) == (2, [sent])


def test_nobody_waits_for_a_follower_that_left() -> None:
    sent = stream(window=4, followers=2)
    sent.send(4, due=0)
    sent.received(0, 3, now=1)
    sent.leave(1)
    assert sent.room == 3
    sent.leave(0)
    assert sent.over


def test_a_pace_is_kept_by_the_clock_whatever_the_server_does() -> None:
    slow = stream(window=2, followers=1)
    pace = Paced([slow], rate=1e9 / 100, start=1_000)
    sent = []
    while found := pace.due(now=1_500):
        slow.send(1, found[1])
        sent.append(found[1])
    assert sent == [1_000, 1_100]
    assert pace.next_due == NEVER
    pace.stop(now=1_500)
    assert pace.overdue == 3
    slow.received(0, 1, now=2_000)
    assert pace.opened(slow, now=2_000) == 0
    assert pace.due(now=2_000) == (slow, 1_200)


def test_a_flood_fills_the_window_until_it_is_stopped() -> None:
    sent = stream(window=4, followers=1)
    pace = Flood([sent])
    assert pace.opened(sent, now=0) == 4
    pace.stop(now=1)
    assert pace.opened(sent, now=1) == 0


def test_a_flood_lets_bytes_gather_when_a_turn_brings_little_of_what_is_on_its_way() -> None:
    sent = stream(window=64, followers=2)
    pace = Flood([sent])
    sent.send(8, due=0)
    for follower in 0, 1:
        sent.received(follower, 2, now=3_200_000)
    pace.opened(sent, now=3_200_000)
    assert pace.pause() == pytest.approx(0.0002)
    sent.received(0, 6, now=3_200_000)
    assert pace.pause() > 0
    sent.send(8, due=0)
    sent.received(0, 8, now=3_200_000)
    assert pace.pause() == 0


def test_a_flood_with_a_small_window_is_there_for_its_latencies() -> None:
    sent = stream(window=4, followers=100)
    pace = Flood([sent])
    sent.send(1, due=0)
    for follower in range(100):
        sent.received(follower, 1, now=3_200_000)
    pace.opened(sent, now=3_200_000)
    assert pace.pause() == 0


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ([0, 1, 2, 3], {}),
        ([0, 2, 3], {"lost": 1}),
        ([0, 1], {"lost": 2}),
        ([0, 1, 1, 2, 3, 0], {"duplicated": 2}),
        ([1, 0, 2, 3], {"out_of_order": 1}),
        ([3, 2, 2, 1, 0], {"out_of_order": 3, "duplicated": 1}),
        ([0, 1, 2, 3, 4], {"duplicated": 1}),
    ],
)
@pytest.mark.parametrize("before", [0, 14])
def test_faults_are_told_apart(arrivals: list[int], expected: dict[str, int], before: int) -> None:
    sent, faults = stream(), Faults()
    track = Track(sent)
    for number in range(before):
        sent.send(1, due=0)
        track.arrived(number % 16, now=1, faults=faults)
    sent.send(4, due=0)
    for number in arrivals:
        track.arrived((before + number) % 16, now=1, faults=faults)
    track.finish(faults)
    assert {name: count for name, count in faults.counts().items() if count} == expected


@pytest.mark.parametrize("size", [16, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("text", [True, False])
def test_messages_are_what_they_say(size: int, text: bool) -> None:
    messages = Messages(3, count=5, size=size, text=text)
    for slot in range(5):
        frame = messages.frame(slot)
        found = split(frame, 0)
        assert found is not None
        first, body, end = found
        assert (first, end) == (TEXT if text else BINARY, len(frame) == end and end)
        assert identify(frame[body:end]) == (3, slot)
        assert split(frame[:-1], 0) is None
        outgoing = messages.outgoing[slot * messages.outgoing_length :][: messages.outgoing_length]
        mask_at = len(header(TEXT, size))
        mask = outgoing[mask_at : mask_at + 4]
        assert outgoing == masked(first, frame[body:end], mask)


@pytest.mark.parametrize("frame", [b"\x81\x85", b"\xc1\x05", b"\x81\x7f" + b"\xff" * 8])
def test_what_is_no_frame_of_a_server_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        split(frame, 0)


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"size": 15}, "size"),
        ({"rooms": 3, "subscribers": 200}, "subscribers"),
        ({"subscribers": 0}, "subscribers"),
        ({"subscribers": 1_000_001}, "subscribers"),
        ({"window": 0}, "window"),
        ({"window": 100_000, "size": 4096}, "window"),
        ({"rate": float("nan")}, "rate"),
        ({"duration": 0.0}, "duration"),
        ({"publishers": 0}, "publishers"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(options: dict[str, float], option: str) -> None:
    with pytest.raises(OptionError) as refused:
        Plan(**options)  # type: ignore[arg-type]
    assert refused.value.option == option
