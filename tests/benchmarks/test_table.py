"""The comparison's arithmetic and its rows: medians, ratios, goals, and servers that could not."""

from __future__ import annotations

from typing import Any

import pytest
from figures import Figure
from peers import PEERS
from rows import FAST, ROWS, Row
from table import SLOWER, Results

ROW = Row("x", "some work", (), (Figure("cost", lambda reports: reports[0]["cost"], {"slow": 1 / 30}, 1),))


def report(cost: float, *problems: str, generator: float = 0.5) -> list[dict[str, Any]]:
    return [
        {
            "plan": {"mode": "flood"},
            "cost": cost,
            "load": {"busy": generator},
            "server": {"busy": 0.9},
            "problems": list(problems),
            "notes": ["the load generator was the bottleneck"],
        }
    ]


def test_the_median_of_the_rounds_ratios_is_held_against_the_goal() -> None:
    results = Results(["trioecho", "slow"])
    for own, theirs in [(1.0, 90.0), (50.0, 60.0), (2.0, 80.0)]:
        results.add(ROW, "trioecho", report(own))
        results.add(ROW, "slow", report(theirs))
    assert results.verdicts(ROW, ROW.figures[0]) == [("slow", 2 / 80, 1 / 30)]
    assert "| some work | cost | 2.0 | 80.0 | 1/40 of slow (at most 1/30, met) |" in results.markdown([ROW])


def test_a_machine_that_becomes_slower_changes_no_ratio() -> None:
    results = Results(["trioecho", "slow"])
    for own, theirs in [(1.0, 40.0), (2.0, 80.0), (8.0, 320.0), (9.0, 60.0)]:
        results.add(ROW, "trioecho", report(own))
        results.add(ROW, "slow", report(theirs))
    assert results.verdicts(ROW, ROW.figures[0]) == [("slow", 1 / 40, 1 / 30)]


def test_a_server_that_could_not_is_shown_with_the_reason() -> None:
    results = Results(["trioecho", "slow", "absent"])
    results.add(ROW, "trioecho", report(1.0))
    results.add(ROW, "slow", report(9.0, "3 deliveries were lost"))
    results.leave_out(ROW, "absent", "it did not start: no such file")
    table = results.markdown([ROW])
    assert "| 1.0 | 9.0 (1) |  (2) |" in table
    assert table.endswith("(1) 3 deliveries were lost\n(2) it did not start: no such file")
    assert results.plain([ROW])[0]["goals"] == [
        {"peer": "slow", "ratio": 1 / 9, "goal": 1 / 30, "met": False}
    ]


def test_the_table_of_goals_has_each_peer_beside_its_goal() -> None:
    row = Row("x", "some work", (), (*ROW.figures, Figure("own", lambda reports: 1.5, most=1.0)))
    results = Results(["trioecho", "slow"])
    results.add(row, "trioecho", report(1.0))
    assert "| some work | cost | 1.0 |  |" in results.goals([row])
    results.add(row, "slow", report(9.0))
    assert results.goals([row]).splitlines()[2:] == [
        "| some work | cost | 1.0 | 1/9 of slow: 9.0 (at most 1/30, MISSED) |",
        "| some work | own | 1.50 | (at most 1, MISSED) |",
    ]
    assert (
        results.markdown([row]).splitlines()[3] == "| some work | own | 1.50 | 1.50 | (at most 1, MISSED) |"
    )


def test_a_peer_that_cannot_be_had_is_said_in_the_table_of_goals() -> None:
    results = Results(["trioecho", "slow"])
    results.add(ROW, "trioecho", report(1.0))
    results.leave_out(ROW, "slow", "it did not start")
    assert "| 1.0 | slow: it did not start |" in results.goals([ROW])


def test_a_row_says_when_the_load_generator_was_the_slower_side() -> None:
    results = Results(["trioecho", "slow"])
    results.add(ROW, "trioecho", report(1.0, generator=0.97))
    results.add(ROW, "slow", report(9.0, generator=0.8))
    table = results.goals([ROW])
    assert "| 1.0 (1) | 1/9 of slow: 9.0 (at" in table
    assert table.endswith(f"\n(1) {SLOWER}")
    assert results.plain([ROW])[0]["generator"] == {"trioecho": 0.97, "slow": 0.8}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_goal_speaks_of_a_server_that_is_measured(row: Row) -> None:
    names = {peer.name for peer in PEERS}
    assert set(FAST) <= names
    for figure in row.figures:
        for peer in figure.goals:
            assert peer in names
            assert row.concerns(peer, goals_only=False)
            assert row.concerns(peer, goals_only=True)
