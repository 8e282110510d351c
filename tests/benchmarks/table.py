"""The comparison's result as text: a line for each row's figure, a column for each server, and the goals."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from pathlib import Path
from typing import Any

from figures import Figure, busy
from rows import Row

__all__ = ["SLOWER", "Results", "machine"]

BUSY = 0.95
"""The share of a core above which a process is taken to be at its limit."""

OURS = "load generator"
"""In a report's note that the load generator was the slower side, which is said here for all."""

SLOWER = (
    "the load generator was busier than the server, with more than 95 % of its core: the server can do more"
)


class Results:
    """What was measured so far."""

    def __init__(self, peers: list[str]) -> None:
        self.peers = peers
        self._values: dict[tuple[str, str, str], list[float]] = {}
        self._remarks: dict[tuple[str, str], str] = {}
        self._shares: dict[tuple[str, str], list[tuple[float, float]]] = {}

    def add(self, row: Row, peer: str, reports: list[dict[str, Any]]) -> None:
        """One round of a row with a peer."""
        for figure in row.figures:
            self._values.setdefault((row.name, figure.name, peer), []).append(figure.of(reports))
        self._shares.setdefault((row.name, peer), []).extend(busy(report) for report in reports)
        problems = [problem for report in reports for problem in report["problems"]]
        if problems:
            self._remarks[row.name, peer] = "; ".join(problems)
        elif notes := [note for report in reports for note in report["notes"] if OURS not in note]:
            self._remarks.setdefault((row.name, peer), "; ".join(notes))

    def generator(self, row: Row, peer: str) -> float:
        """The share of its core that the load generator used, in the run in which it was the most."""
        return max((own for own, _ in self._shares.get((row.name, peer), [])), default=0.0)

    def leave_out(self, row: Row, peer: str, reason: str) -> None:
        """A peer could not do a row."""
        self._remarks[row.name, peer] = reason

    def median(self, row: Row, figure: Figure, peer: str) -> float | None:
        """The middle one of the rounds, if there were any."""
        values = self._values.get((row.name, figure.name, peer))
        return statistics.median(values) if values else None

    def verdicts(self, row: Row, figure: Figure) -> list[tuple[str, float, float]]:
        """
        For each goal that can be judged: the peer, the ratio to it that was reached, and the goal.

        The ratio is the median of the rounds' own ratios: what was measured one right after the other was
        measured on the same machine, which a few minutes later may be a slower one.
        """
        own = self._values.get((row.name, figure.name, "trioecho"), [])
        found = []
        for peer, goal in figure.goals.items():
            theirs = self._values.get((row.name, figure.name, peer), [])
            if ratios := [mine / other for mine, other in zip(own, theirs, strict=False) if other]:
                found.append((peer, statistics.median(ratios), goal))
        return found

    def markdown(self, rows: list[Row]) -> str:
        """The table, and what there is to say about single fields of it."""
        spoken_of = {key[-1] for key in [*self._values, *self._remarks]}
        shown = [peer for peer in self.peers if peer in spoken_of]
        lines = ["| work | figure | " + " | ".join(shown) + " | goal |"]
        lines.append("|---|---|" + "---:|" * len(shown) + "---|")
        numbers: dict[str, int] = {}
        for row in rows:
            for figure in row.figures:
                fields = [self._field(row, figure, peer, numbers) for peer in shown]
                goals = "; ".join(
                    f"{_ratio(ratio, goal)} of {peer} ({_verdict(ratio, goal)})"
                    for peer, ratio, goal in self.verdicts(row, figure)
                )
                own = self.median(row, figure, "trioecho")
                if own is not None and figure.most is not None:
                    goals += f"({_verdict(own, figure.most)})"
                lines.append(f"| {row.work} | {figure.name} | " + " | ".join(fields) + f" | {goals} |")
        return "\n".join([*lines, *_explained(numbers)])

    def goals(self, rows: list[Row]) -> str:
        """The table of the goals: the figures of a peer stand beside the goal that it sets."""
        lines = ["| work | figure | trioecho | by the goal |", "|---|---|---:|---|"]
        numbers: dict[str, int] = {}
        for row in rows:
            for figure in row.figures:
                judged = [
                    f"{_ratio(ratio, goal)} of {peer}: {self._field(row, figure, peer, numbers)}"
                    f" ({_verdict(ratio, goal)})"
                    for peer, ratio, goal in self.verdicts(row, figure)
                ]
                own = self.median(row, figure, "trioecho")
                if own is not None and figure.most is not None:
                    judged.append(f"({_verdict(own, figure.most)})")
                mine = self._field(row, figure, "trioecho", numbers)
                missing = [
                    f"{peer}: {self._remarks[row.name, peer]}"
                    for peer in figure.goals
                    if self.median(row, figure, peer) is None and (row.name, peer) in self._remarks
                ]
                fields = [row.work, figure.name, mine, "; ".join([*judged, *missing])]
                lines.append("| " + " | ".join(fields) + " |")
        return "\n".join([*lines, *_explained(numbers)])

    def _field(self, row: Row, figure: Figure, peer: str, numbers: dict[str, int]) -> str:
        value = self.median(row, figure, peer)
        marks = ""
        for remark in self._all_remarks(row, peer):
            marks += f" ({numbers.setdefault(remark, len(numbers) + 1)})"
        return ("" if value is None else f"{value:,.{figure.digits}f}") + marks

    def _all_remarks(self, row: Row, peer: str) -> list[str]:
        """What there is to say about a peer in a row."""
        said = [self._remarks[row.name, peer]] if (row.name, peer) in self._remarks else []
        if any(own > BUSY and own > server for own, server in self._shares.get((row.name, peer), [])):
            said.append(SLOWER)
        return said

    def plain(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Everything as JSON takes it."""
        return [
            {
                "row": row.name,
                "work": row.work,
                "figure": figure.name,
                "rounds": {peer: self._values.get((row.name, figure.name, peer), []) for peer in self.peers},
                "medians": {peer: self.median(row, figure, peer) for peer in self.peers},
                "remarks": {
                    peer: self._remarks[row.name, peer]
                    for peer in self.peers
                    if (row.name, peer) in self._remarks
                },
                "generator": {peer: self.generator(row, peer) for peer in self.peers},
                "most": figure.most,
                "goals": [
                    {"peer": peer, "ratio": ratio, "goal": goal, "met": ratio <= goal}
                    for peer, ratio, goal in self.verdicts(row, figure)
                ],
            }
            for row in rows
            for figure in row.figures
        ]


def machine() -> dict[str, str]:
    """What this was measured on, and when."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": str(os.cpu_count()),
        "kernel": f"{platform.system()} {platform.release()}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _explained(numbers: dict[str, int]) -> list[str]:
    return ["", *[f"({number}) {remark}" for remark, number in numbers.items()]] if numbers else []


def _ratio(ratio: float, goal: float) -> str:
    return f"{ratio:.2f}" if goal >= 0.2 else f"1/{1 / ratio:.0f}"


def _verdict(reached: float, goal: float) -> str:
    wanted = f"{goal:g}" if goal >= 0.2 else f"1/{1 / goal:.0f}"
    return f"at most {wanted}, {'met' if reached <= goal else 'MISSED'}"
