"""What the suite found: its report read, counted and judged."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Report"]

BEHAVIORS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"]
"""How the suite judges a case, as far as it is always said, even of none."""

FINE = {"OK", "NON-STRICT", "INFORMATIONAL"}
"""NON-STRICT is allowed but could be stricter; INFORMATIONAL judges nothing."""

FINE_CLOSES = {"OK", "INFORMATIONAL"}
"""How a case may end; others are a wrong code, or an end without a closing handshake."""

SHOWN = 200
"""How much of the suite's explanation is shown (characters)."""


@dataclass(frozen=True)
class Case:
    """One case: its number, and how behavior and close were judged."""

    number: str
    behavior: str
    close: str
    code: int | None
    why: str

    @property
    def well(self) -> bool:
        """Whether it behaved and closed as it may."""
        return self.behavior in FINE and self.close in FINE_CLOSES

    def __str__(self) -> str:
        ended = f"closed {self.close}" + ("" if self.code is None else f" with {self.code}")
        return f"{self.number}: {self.behavior}, {ended}. {self.why}"


@dataclass(frozen=True)
class Report:
    """
    The cases of one side.

    Attributes:
        cases: those that ran, in the order of their numbers.
        expected: how many should have.

    """

    cases: list[Case]
    expected: int

    @classmethod
    def read(cls, folder: Path, expected: int) -> Report:
        """Read the report in ``folder``; without one, no case has run."""
        try:
            index: dict[str, dict[str, dict[str, Any]]] = json.loads((folder / "index.json").read_text())
        except FileNotFoundError:
            index = {}
        cases = [
            Case(
                number,
                entry["behavior"],
                entry["behaviorClose"],
                entry["remoteCloseCode"],
                _why(folder / entry["reportfile"]),
            )
            for agent in index.values()
            for number, entry in agent.items()
        ]
        return cls(sorted(cases, key=lambda case: [int(part) for part in case.number.split(".")]), expected)

    @property
    def missing(self) -> int:
        """How many cases did not run; a run without any is not well either."""
        return max(self.expected, 1) - len(self.cases)

    @property
    def well(self) -> bool:
        """Whether all cases ran, and none failed or was closed wrongly."""
        return self.missing <= 0 and all(case.well for case in self.cases)

    def lines(self) -> Iterator[str]:
        """Say it: the counts, then each case that is not simply OK."""
        counts = Counter(case.behavior for case in self.cases)
        names = [*BEHAVIORS, *sorted(set(counts) - set(BEHAVIORS))]
        wrong = sum(case.close not in FINE_CLOSES for case in self.cases)
        counted = [f"{name} {counts[name]}" for name in names]
        yield ", ".join([*counted, f"closed wrongly {wrong}", f"missing {self.missing}"])
        for case in self.cases:
            if not case.well or case.behavior != "OK":
                yield str(case)


def _why(path: Path) -> str:
    """Return the suite's explanation of a case, in one line."""
    try:
        told: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return ""
    said = f"{told.get('result') or ''} {told.get('resultClose') or ''}"
    return " ".join(re.sub(r"<[^>]+>", "", said).split())[:SHOWN]
