"""A log line is one line, and of bounded length, whatever a client chose to send."""

from __future__ import annotations

import logging

import pytest

from trioecho.log import LONGEST_VALUE, log_event


def test_a_long_value_is_cut_and_the_line_says_by_how_much(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="trioecho"):
        log_event(logging.INFO, "refused", why="x" * 10_000, room="/" + "y" * (LONGEST_VALUE - 1), code=1000)
    (record,) = caplog.records
    cut = "x" * LONGEST_VALUE + "... (9800 more characters)"
    assert record.__dict__["fields"] == {"why": cut, "room": "/" + "y" * (LONGEST_VALUE - 1), "code": 1000}
    assert f'why="{cut}"' in record.getMessage()


def test_a_value_that_is_quoted_stays_bounded(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="trioecho"):
        log_event(logging.INFO, "refused", why="\N{GRINNING FACE}" * 100_000)
    assert len(caplog.records[0].getMessage()) < 3000
    assert caplog.records[0].getMessage().isascii()
