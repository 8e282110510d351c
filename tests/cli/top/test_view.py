"""What ``top`` makes of what servers say: rates, plots, and a screen of any size."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from trioecho.cli.top.rates import Past, Rates
from trioecho.cli.top.view import View
from trioecho.cli.top.words import amount, bytes_text, plot, seconds_text
from trioecho.web.status import ClientStatus, NodeStatus, RoomStatus, Status

NODE = NodeStatus(
    node="k3x9f2aa",
    host="alpha",
    pid=4711,
    at=10.0,
    cpu=1.0,
    stopping=False,
    websocket=1200,
    events=34,
    http=1,
    rooms=17,
    connected=5000,
    messages_in=0,
    messages_out=0,
    bytes_in=0,
    bytes_out=0,
    dropped=0,
    pending_bytes=2**20,
    held_bytes=2**19,
    engine_up=True,
    engine_round_trip=0.00035,
    engine_unconfirmed=0,
)


def status(*nodes: NodeStatus, rooms: int = 0, clients: int = 0, missing: int = 0) -> Status:
    return Status(
        names=True,
        missing=missing,
        nodes=nodes,
        rooms=tuple(RoomStatus(room=f"/r{n}", subscribers=99 - n, messages=n) for n in range(rooms)),
        clients=tuple(
            ClientStatus(
                address=f"192.0.2.{n}:1", room="/r", kind="events", pending_bytes=n, dropped=0, full_for=0.0
            )
            for n in range(clients)
        ),
    )


def later(node: NodeStatus, seconds: float, **counts: Any) -> NodeStatus:
    return replace(node, at=node.at + seconds, **counts)


def test_rates_are_what_changed_by_the_server_s_own_clock() -> None:
    past = Past()
    past.add(status(NODE))
    assert not past.together and not past.nodes
    past.add(status(later(NODE, 2.0, messages_in=10, cpu=2)))
    assert past.nodes["k3x9f2aa"] == Rates(messages_in=5.0, cpu=0.5) == past.together[-1]
    # A large server says the same for a moment; what it does then is what it did.
    past.add(status(later(NODE, 2.0, messages_in=10, cpu=2)))
    assert past.together[-1] == Rates(messages_in=5.0, cpu=0.5) and past.ever == 2


def test_a_rate_is_of_a_time_that_says_something() -> None:
    past = Past()
    past.add(status(NODE))
    for number in (1, 2, 3):
        past.add(status(later(NODE, number * 1e-9, messages_in=number * 1000)))
    assert not past.nodes and not past.together
    # What came in so short a time is not forgotten.
    past.add(status(later(NODE, 2.0, messages_in=4000)))
    assert past.nodes["k3x9f2aa"].messages_in == 2000.0
    past.add(status(later(NODE, 2.0 + 1e-9, messages_in=2**62)))
    assert past.together[-1].messages_in == 2000.0


def test_a_clock_that_goes_back_has_no_rate_until_it_goes_on() -> None:
    past = Past()
    past.add(status(NODE))
    past.add(status(later(NODE, -5.0, messages_in=7)))
    assert not past.nodes
    past.add(status(later(NODE, -4.0, messages_in=9)))
    assert past.nodes["k3x9f2aa"].messages_in == 2.0


numbers = st.one_of(st.integers(-(2**63) + 1, 2**63 - 1), st.floats(-(2.0**62), 2.0**62))


@given(st.lists(st.tuples(numbers, st.integers(-(2**63) + 1, 2**63 - 1)), max_size=8), st.integers(10, 120))
def test_whatever_a_server_says_can_be_drawn(looks: list[tuple[float, int]], width: int) -> None:
    past, found = Past(), status(NODE)
    for at, count in looks:
        node = replace(NODE, at=at, cpu=at, messages_in=count, bytes_out=count, pending_bytes=count)
        past.add(found := status(replace(node, engine_round_trip=at)))
        lines = drawn(View("http://a:1/status", found, past, "", "12:00:00"), width, 24)
        assert max(map(len, lines)) <= width


def test_servers_are_added_up_and_come_and_go() -> None:
    past, other = Past(), replace(NODE, node="other", at=500.0)
    past.add(status(NODE, other))
    past.add(status(later(NODE, 1.0, messages_out=10), later(other, 2.0, messages_out=10)))
    assert past.together[-1].messages_out == 15.0
    past.add(status(later(NODE, 2.0, messages_out=20)))
    assert past.together[-1].messages_out == 10.0 and list(past.nodes) == ["k3x9f2aa"]
    # One that was started again under another name counts from its second look on.
    past.add(status(later(NODE, 3.0, messages_out=30), replace(NODE, node="new", messages_out=10**9)))
    assert past.together[-1].messages_out == 10.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.2"), (9.94, "9.9"), (17, "17"), (1234.4, "1,234"), (2_500_000, "2.50 M")],
)
def test_amounts_are_short(value: float, text: str) -> None:
    assert amount(value) == text


@given(st.floats(0, 1e13))
def test_every_number_fits_its_column(value: float) -> None:
    assert len(bytes_text(value)) <= 10 and len(amount(value)) <= 11
    assert len(seconds_text(min(value, 1e9))) <= 14


@pytest.mark.parametrize(
    ("value", "text"), [(0.0005, "0.50 ms"), (0.25, "250 ms"), (0.9996, "1.0 s"), (119.0, "119.0 s")]
)
def test_times_are_short(value: float, text: str) -> None:
    assert seconds_text(value) == text


def test_a_plot_has_its_latest_at_the_right_and_columns_that_stay() -> None:
    assert plot([], 5, 1, 0) == "     "
    assert plot([0, 1, 2, 4, 8], 8, 1, 5) == "    ▁▂▄█".rjust(8)
    values = [float(n % 7) for n in range(60)]
    # With more than one value a column, all columns but the last stay when one more comes.
    before, after = plot(values[:58], 10, 6, 58), plot(values[:59], 10, 6, 59)
    assert before[:-1] == after[:-1]


@given(st.lists(st.floats(0, 1e12), max_size=320), st.integers(1, 120), st.integers(1, 10))
def test_a_plot_is_as_wide_as_it_should_be(values: list[float], width: int, each: int) -> None:
    assert len(plot(values, width, each, len(values))) == width


def drawn(view: View, width: int, height: int) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=False, legacy_windows=False
    )
    console.print(view.render(width, height))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
@pytest.mark.parametrize("height", [12, 18, 24, 60])
@pytest.mark.parametrize("nodes", [1, 3, 50])
def test_it_fits_a_terminal_of_any_size(width: int, height: int, nodes: int) -> None:
    past = Past()
    found = status(
        *(replace(NODE, node=f"node{n}", pid=n) for n in range(nodes)), rooms=20, clients=20, missing=1
    )
    past.add(found)
    lines = drawn(View("http://a:1/status", found, past, "", "12:00:00"), width, height)
    assert len(lines) <= height and max(map(len, lines)) <= width


def test_each_list_has_its_part_of_the_lines() -> None:
    past = Past()
    found = status(NODE, replace(NODE, node="b", engine_up=False, stopping=True), rooms=20, clients=20)
    past.add(found)
    text = "\n".join(drawn(View("http://a:1/status", found, past, "", "12:00:00"), 80, 30))
    assert "2 servers answer, 1 shutting down" in text
    assert "alpha 4711 (stopping)" in text and "away" in text
    assert "engine away for 1  round trip 0.35 ms" in text
    assert "Largest rooms (" in text and "Slow clients (" in text
    assert text.count("\n/r") >= 3 and text.count("\n192.0.2.") >= 3


def test_what_the_network_names_is_no_markup_and_no_escape() -> None:
    bad = replace(status(NODE), rooms=(RoomStatus(room="/[bold]\x1b[2J\u202e", subscribers=1, messages=0),))
    text = "\n".join(drawn(View("http://a/\x1b", bad, Past(), "it said \x1b[31m", "12:00:00"), 80, 30))
    assert "/[bold]\\x1b[2J\\u202e" in text and "\x1b" not in text and "it said \\x1b[31m" in text
