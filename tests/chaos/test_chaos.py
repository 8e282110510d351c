"""The program of chaos: a short run of it, what the loyal must get, and how a run is judged."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from helpers.markdown import ROOT

from chaos.loyal import Sequence
from chaos.trial import Outcome


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.chaos", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_a_short_run_loses_nothing_and_leaves_nothing_behind() -> None:
    done = command("--minutes", "0.3", "--calm", "1", "--ping", "0.5", "--clients", "20", "--seed", "1")
    assert "--seed 1" in done.stdout and done.stderr == ""
    messages = re.findall(r"the loyal, [a-z ]+: ([\d,]+) messages", done.stdout)
    assert len(messages) == 2 and "0" not in messages
    assert re.search(r"the chaotic: [1-9][\d,]* things done", done.stdout)
    # A busy machine may be slow, and so short a time is no measure of memory; nothing else may be.
    problems = re.findall(
        r"^PROBLEM: (?!the loyal's p99|.* (?:objects|memory), and had).*", done.stdout, re.M
    )
    assert not problems, done.stdout
    assert done.returncode == ("PROBLEM" in done.stdout)


@pytest.mark.parametrize("arguments", [["--minutes", "0"], ["--calm", "-1"], ["--clients", "1"]])
def test_what_it_cannot_do_it_says_in_a_sentence(arguments: list[str]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--minutes is up to 600, --calm up to 600 seconds, --clients from 5 to 5000" in done.stderr


def test_the_loyal_notice_what_is_lost_doubled_out_of_order_or_their_own() -> None:
    sequence = Sequence(1)
    assert [sequence.take(0, number) for number in range(3)] == ["", "", ""]
    assert sequence.take(0, 4) == "client 1 got message 4 of 0 in the place of 3"
    assert sequence.take(0, 4) == "client 1 got message 4 of 0 in the place of 5"
    assert sequence.take(0, 3) == "client 1 got message 3 of 0 in the place of 5"
    assert sequence.take(0, 4) == ""
    assert sequence.take(1, 0) == "client 1 got its own message 0"


def outcome(**changes: Any) -> Outcome:
    """Return what came of a run in which all was well, but for these changes."""
    seen = {"messages": 100, "faults": [], "p50": 0.001, "p99": 0.002, "max": 0.003}
    made = {"tasks": 10, "descriptors": 20, "objects": 30_000, "memory": 40_000_000}
    whole = Outcome(calm=dict(seen), stormy=dict(seen), before=dict(made), after=dict(made))
    for change, value in changes.items():
        part, _, name = change.partition("_")
        getattr(whole, part)[name] = value
    whole.judge()
    return whole


def test_a_run_in_which_all_is_well_has_no_problems() -> None:
    assert outcome().problems == []
    assert outcome(stormy_p99=0.0059, after_objects=30_500, after_memory=43_000_000).problems == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"stormy_faults": ["client 1 is out: gone"]}, "client 1 is out: gone"),
        ({"calm_faults": ["client 2 is out: gone"]}, "client 2 is out: gone"),
        ({"stormy_p99": 0.0061}, "the loyal's p99 was 6.1 ms, and undisturbed 2.0 ms"),
        ({"after_tasks": 11}, "the server has 11 tasks, and had 10"),
        ({"after_descriptors": 21}, "the server has 21 descriptors, and had 20"),
        ({"after_objects": 31_000}, "the server has 31,000 objects, and had 30,000"),
        ({"after_memory": 45_000_000}, "the server has 45,000,000 memory, and had 40,000,000"),
    ],
)
def test_a_run_in_which_something_is_not_well_has_a_problem(changes: dict[str, Any], problem: str) -> None:
    judged = outcome(**changes)
    assert judged.problems == [problem]
    assert f"PROBLEM: {problem}" in list(judged.lines())
