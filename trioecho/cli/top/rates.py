"""Rates: how much is done in a second, from what servers have counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

from trioecho.web.status import NodeStatus, Status

__all__ = ["KEPT_SECONDS", "Past", "Rates", "total"]

KEPT_SECONDS = 300
"""What is plotted at most, if there is so much space (seconds)."""


LEAST_APART = 0.001
"""Looks that are nearer to each other are one (seconds): a rate of so short a time says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one server, or several, do in a second; ``cpu`` is the share of one processor."""

    messages_in: float = 0.0
    messages_out: float = 0.0
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    dropped: float = 0.0
    cpu: float = 0.0


NAMES = [field.name for field in fields(Rates)]


def total(rates: list[Rates]) -> Rates:
    """Add up the rates of several servers."""
    return Rates(**{name: sum(getattr(one, name) for one in rates) for name in NAMES})


class Past:
    """
    What was seen of servers: their rates, and what all of them together did lately.

    Attributes:
        nodes: the rates of each server that is there, as far as it has been seen twice.
        together: of all of them, the last of these, one for each time that something was added.
        ever: how many that were.

    """

    def __init__(self) -> None:
        self.ever = 0
        self.nodes: dict[str, Rates] = {}
        self.together: deque[Rates] = deque(maxlen=KEPT_SECONDS)
        self._last: dict[str, NodeStatus] = {}

    def add(self, status: Status) -> None:
        """Take what servers say now. What a large one says twice has the same rates twice."""
        nodes: dict[str, Rates] = {}
        last: dict[str, NodeStatus] = {}
        for node in status.nodes:
            before = self._last.get(node.node)
            last[node.node] = node
            if before is not None and node.at - before.at >= LEAST_APART:
                nodes[node.node] = _between(before, node)
            elif before is not None:
                if node.at >= before.at:
                    last[node.node] = before  # the next look is compared with that
                if node.node in self.nodes:
                    nodes[node.node] = self.nodes[node.node]
        self.nodes, self._last = nodes, last
        if nodes:
            self._append(total(list(nodes.values())))

    def add_nothing(self) -> None:
        """Take notice that nobody answers: what is done meanwhile is not known, and drawn as nothing."""
        if self.together:
            self._append(Rates())

    def _append(self, rates: Rates) -> None:
        self.together.append(rates)
        self.ever += 1


def _between(before: NodeStatus, now: NodeStatus) -> Rates:
    passed = now.at - before.at
    return Rates(**{name: max(0.0, (getattr(now, name) - getattr(before, name)) / passed) for name in NAMES})
