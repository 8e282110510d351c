"""Clocks that are wrong: processes whose time of day is another, by libfaketime, and may jump."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

__all__ = ["Clock"]

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Clock:
    """
    The clock of a process: ``variables`` are for its environment, and :meth:`set` changes it while it runs.

    Only the time of day: timers go by another clock, which no administrator and no NTP sets.
    """

    def __init__(self, folder: Path, name: str, offset: str = "+0") -> None:
        if LIBRARY is None or shutil.which("faketime") is None:
            pytest.skip("needs libfaketime: apt-get install faketime")
        self._file = folder / f"{name}.clock"
        self.set(offset)
        self.variables = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        """Set it off by so much, as in ``+3h`` or ``-90m``."""
        new = self._file.with_suffix(".new")
        new.write_text(offset)
        new.replace(self._file)  # a whole one at every moment
