"""The program that measures abuse: each kind gets where it wants to be, harms nobody, and is measured."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import trio
from helpers.markdown import ROOT
from helpers.server import unharmed
from helpers.server_process import running

from abuse.driver import ABUSES
from abuse.pair import INTERVAL, Honest, rounds
from abuse.table import row
from abuse.target import Abuse, Target
from abuse.trial import Result

STANDSTILL = 0.2
"""Seconds for which a server is stopped."""


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.name)
async def test_each_abuse_gets_where_it_wants_to_be_and_harms_nobody(abuse: Abuse) -> None:
    ready = trio.Event()
    async with unharmed(max_message_size=2**20) as server, trio.open_nursery() as nursery:
        port = urlsplit(server.url).port
        assert port is not None
        nursery.start_soon(abuse.drive, Target(port, 0.002, ready.set))
        await ready.wait()
        nursery.cancel_scope.cancel()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.abuse", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_is_measured_from_beginning_to_end() -> None:
    done = command("pings", "--seconds", "0.3", "--scale", "0.1")
    # A busy machine may miss the goal, and nothing else.
    number, text = r" [\d.,]+ ", r" 20 send pings "
    line = re.search(rf"^\|{text}(?:\|{number}){{6}}\| (?:met|MISSED) \|$", done.stdout, re.M)
    assert line is not None, done.stdout + done.stderr
    assert done.returncode == ("MISSED" in line[0])
    assert "`python -m tests.abuse pings --seconds 0.3 --scale 0.1`" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pongs"], "there is no pongs; there are nothing, "),
        (["--seconds", "0"], "--seconds is from 0.1 to 600"),
        (["--scale", "2"], "--scale from above 0 to 1"),
    ],
)
def test_what_it_cannot_do_it_says_in_a_sentence(arguments: list[str], said: str) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr


async def test_a_server_that_stands_still_is_seen_by_every_round_that_came_due() -> None:
    async with running() as server:
        port = urlsplit(server.url).port
        assert port is not None

        def measure() -> list[float]:
            with closing(Honest(port)) as one, closing(Honest(port)) as other:
                rounds(one, other, INTERVAL)
                server.signal(signal.SIGSTOP)
                threading.Timer(STANDSTILL, server.signal, [signal.SIGCONT]).start()
                return rounds(one, other, STANDSTILL)

        took = await trio.to_thread.run_sync(measure)
    assert max(took) > STANDSTILL * 0.9
    assert len([round for round in took if round > STANDSTILL / 2]) >= 0.4 * STANDSTILL / INTERVAL


def test_the_goals_are_about_half_and_nearly_all_of_the_rounds() -> None:
    (nothing, *_) = ABUSES
    good = Result(nothing, sorted(99 * [0.001] + [3.0]), peak=50_000_000, after=40_000_000, log=1234)
    assert good.met
    assert row(good) == "| nothing | 1.0 | 1.0 | 3000.0 | 50 | 40 | 1 | met |"
    assert not Result(nothing, sorted(98 * [0.001] + 2 * [0.03])).met
    assert not Result(nothing, 100 * [0.002]).met
    bad = Result(nothing, 100 * [0.001], problems=["2 descriptors are still open"])
    assert not bad.met
    assert row(bad).endswith("| MISSED: 2 descriptors are still open |")
    assert not Result(nothing).met and row(Result(nothing)).startswith("| nothing |  |  |  |")
