"""
Which other nodes live: those that the engine has heard within ten seconds. Plain functions: nothing waits.

Each says every three seconds that it lives. The engine's clock counts, so those of the machines may differ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

__all__ = ["BEAT_SECONDS", "DEAD_SECONDS", "Nodes"]

BEAT_SECONDS = 3.0
"""How often a node says that it lives."""

DEAD_SECONDS = 10.0
"""After so long without a word it is dead."""

MARGIN = 0.02
"""So much later it is looked whether a silent node is dead (seconds)."""


class Nodes:
    """
    The nodes beside the one of this name.

    Attributes:
        unsettled_until: until when an engine that has forgotten everything may not have heard yet of nodes
            that live, and of who is on them (trio time).

    """

    def __init__(self, own: bytes) -> None:
        self.unsettled_until = -math.inf
        self._own = own
        self._heard: dict[bytes, float] = {}

    def __contains__(self, node: bytes) -> bool:
        return node in self._heard

    def listed(self, ages: Mapping[bytes, float], now: float, *, is_new: bool) -> set[bytes]:
        """
        Take notice of which nodes the engine knows, and how long each has been silent; return who is gone.

        ``is_new``: it did not know this one. Then either the others have taken this one for dead, or the
        engine has forgotten everybody, and those that live will say so.
        """
        unknown = self._heard.keys() - ages.keys()
        if is_new:
            self.unsettled_until = now + DEAD_SECONDS
            self._heard.update(dict.fromkeys(unknown, now))
        for node, age in ages.items():
            if node != self._own:
                self._heard[node] = now - age
        if now >= self.unsettled_until:
            for node in unknown:
                del self._heard[node]
            return unknown
        return self.silent(now)

    def came(self, node: bytes, now: float) -> None:
        """Take notice that a node lives that the engine did not know."""
        if node != self._own:
            self._heard[node] = now

    def left(self, node: bytes) -> None:
        """Take notice that a node is gone."""
        self._heard.pop(node, None)

    def silent(self, now: float) -> set[bytes]:
        """Return who has been silent for too long, and is gone."""
        dead = {node for node, heard in self._heard.items() if heard + DEAD_SECONDS < now}
        for node in dead:
            del self._heard[node]
        return dead

    def next_look(self, now: float) -> float:
        """Return when to say again that this node lives, or to see whether another still does."""
        dies = min(self._heard.values(), default=now) + DEAD_SECONDS + MARGIN
        return min(now + BEAT_SECONDS, dies if dies > now else now + MARGIN)
