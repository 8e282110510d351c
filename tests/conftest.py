"""What holds for all tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from hypothesis import settings

# Hypothesis judges what is right, not how fast a busy machine is.
settings.register_profile("trioecho", deadline=None)
settings.load_profile("trioecho")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a browser, so that ``-m "not browser"`` leaves it out: all that use its fixture."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


@pytest.fixture(autouse=True)
def _same_log_level() -> Iterator[None]:
    """Put the log's level back after each test: the next one in the process may not depend on it."""
    ours = logging.getLogger("trioecho")
    before = ours.level
    yield
    ours.setLevel(before)
