"""The log is told of each trouble with an engine once, however often it comes."""

from __future__ import annotations

import logging

import pytest

from trioecho.engine.troubles import Troubles


def test_that_it_evicts_is_said_when_that_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    troubles = Troubles()
    for policy in ("allkeys-lru", "allkeys-lru", "volatile-ttl", None, "volatile-ttl"):
        troubles.evicts(policy)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"engine-evicts policy={policy}" for policy in ("allkeys-lru", "volatile-ttl", "volatile-ttl")
    ]


def test_each_reason_is_told_once_in_an_absence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "trioecho")
    troubles = Troubles()
    for _ in range(2):
        for why in ("one", "two", "one"):
            troubles.lost("host", why)
            assert troubles.now == f"host: {why}"
        troubles.over()
        assert troubles.now == ""
    assert len(caplog.records) == 4
