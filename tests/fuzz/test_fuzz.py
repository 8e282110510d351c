"""Bytes at every door of a real server and a real client, by Hypothesis and within a budget."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers.markdown import ROOT
from helpers.traffic import conversations, splits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.doors import DOORS
from fuzz.words import WORDS


def bytes_for(door: str) -> st.SearchStrategy[bytes]:
    """Make bytes that mean something here and there."""
    pieces = st.lists(st.sampled_from(WORDS[door]) | st.binary(max_size=20), max_size=12).map(b"".join)
    return pieces | conversations() if door == "frames" else pieces


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
async def test_whatever_comes_everybody_else_is_served_and_nothing_is_left(
    door: str, data: st.DataObject
) -> None:
    whole = data.draw(bytes_for(door))
    cuts = data.draw(st.lists(st.integers(0, 2**16), max_size=3))
    await DOORS[door](list(splits(whole, cuts)))


def test_the_program_knows_every_door() -> None:
    assert list(DOORS) == list(WORDS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["window", "1"], "there is no door window; there are http, body, "),
        (["http", "never"], "SECONDS is a number from 1 to 86400"),
        (["http", "0"], "SECONDS is a number from 1 to 86400"),
    ],
)
def test_what_the_program_cannot_do_it_says_in_a_sentence(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and "Traceback" not in done.stderr
