"""The comparison's arithmetic and its rows: medians, ratios, goals, and servers that could not."""

from __future__ import annotations

from typing import Any

import pytest
from peers import PEERS
from rows import FAST, ROWS, Figure, Row
from table import Results

ROW = Row("x", "some work", (), (Figure("cost", lambda reports: reports[0]["cost"], {"slow": 1 / 30}, 1),))


def report(cost: float, *problems: str) -> list[dict[str, Any]]:
    return [{"cost": cost, "problems": list(problems), "notes": []}]


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


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_goal_speaks_of_a_server_that_is_measured(row: Row) -> None:
    names = {peer.name for peer in PEERS}
    assert set(FAST) <= names
    for figure in row.figures:
        for peer in figure.goals:
            assert peer in names
            assert row.concerns(peer, goals_only=False)
            assert row.concerns(peer, goals_only=True)
