"""The Autobahn|Testsuite: how its reports are judged, and a few of its cases where it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.markdown import ROOT

from conformance.report import Report
from conformance.sides import SIDES, Side
from conformance.suite import DEFAULT, Suite


def written(folder: Path, **cases: tuple[str, str]) -> Path:
    """Write a report as the suite does: of cases ``c1_1_1`` and so on, their behavior and their close."""
    index: dict[str, Any] = {}
    for name, (behavior, close) in cases.items():
        number = name.removeprefix("c").replace("_", ".")
        index[number] = {
            "behavior": behavior,
            "behaviorClose": close,
            "remoteCloseCode": 1000,
            "duration": 1,
            "reportfile": f"{name}.json",
        }
        told = {"result": f"Why <b>{number}</b>\n is so.", "resultClose": "How it closed."}
        (folder / f"{name}.json").write_text(json.dumps(told))
    (folder / "index.json").write_text(json.dumps({"trioecho": index}))
    return folder


def test_a_report_is_counted_and_what_is_not_simply_ok_is_explained(tmp_path: Path) -> None:
    cases = {"c10_1_1": ("OK", "OK"), "c6_4_3": ("NON-STRICT", "OK"), "c7_1_6": ("INFORMATIONAL",) * 2}
    report = Report.read(written(tmp_path, **cases), 3)
    assert report.well
    assert list(report.lines()) == [
        "OK 1, NON-STRICT 1, INFORMATIONAL 1, UNIMPLEMENTED 0, FAILED 0, closed wrongly 0, missing 0",
        "6.4.3: NON-STRICT, closed OK with 1000. Why 6.4.3 is so. How it closed.",
        "7.1.6: INFORMATIONAL, closed INFORMATIONAL with 1000. Why 7.1.6 is so. How it closed.",
    ]


@pytest.mark.parametrize(
    ("behavior", "close", "counted"),
    [
        ("FAILED", "OK", "FAILED 1"),
        ("UNIMPLEMENTED", "OK", "UNIMPLEMENTED 1"),
        ("NO_CLOSE", "OK", "NO_CLOSE 1"),
        ("OK", "WRONG CODE", "closed wrongly 1"),
        ("OK", "UNCLEAN", "closed wrongly 1"),
        ("OK", "FAILED BY CLIENT", "closed wrongly 1"),
    ],
)
def test_one_bad_case_makes_a_bad_report(tmp_path: Path, behavior: str, close: str, counted: str) -> None:
    report = Report.read(written(tmp_path, c1_1_1=("OK", "OK"), c1_1_2=(behavior, close)), 2)
    assert not report.well
    counts, case = report.lines()
    assert counted in counts and case.startswith(f"1.1.2: {behavior}, closed {close} with 1000.")


@pytest.mark.parametrize("expected", [0, 2])
def test_cases_that_did_not_run_make_a_bad_report(tmp_path: Path, expected: int) -> None:
    report = Report.read(tmp_path, expected)
    assert not report.well
    assert next(report.lines()).endswith(f"missing {expected or 1}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--python27", "/nowhere/python2.7"], "needs Python 2.7, and /nowhere/python2.7 is none: get one"),
        (["--python27", sys.executable], f"needs Python 2.7, and {sys.executable} is none: get one"),
        (["elsewhere"], "there are server, server-tls, client, and no elsewhere"),
    ],
)
def test_what_it_cannot_do_it_says_in_a_sentence(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance", "--home", str(tmp_path), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(Suite.at(DEFAULT) is None, reason="python -m tests.conformance has not installed it")
@pytest.mark.parametrize("side", SIDES, ids=lambda side: side.name)
async def test_a_few_cases_pass_where_the_suite_is_installed(side: Side, tmp_path: Path) -> None:
    suite = Suite.at(DEFAULT)
    assert suite is not None
    report = Report.read(tmp_path, await side.run(suite, ["1.1.*", "7.7.1"], tmp_path))
    assert report.well, "\n".join(report.lines())
    assert len(report.cases) == 9
