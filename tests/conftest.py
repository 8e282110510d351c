"""What holds for all tests: Hypothesis judges what is right, not how fast a busy machine is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("trioecho", deadline=None)
settings.load_profile("trioecho")
