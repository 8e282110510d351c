"""What holds for all tests."""

from __future__ import annotations

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
