"""How long messages took, from the moment each was *due*: a histogram with percentiles."""

from __future__ import annotations

from collections import defaultdict

__all__ = ["Latency"]

SIGNIFICANT_BITS = 7
"""A latency is kept to seven binary digits (1.6 %), so hours of traffic fit in some hundred counters."""

POINTS = 4
"""
A read that brings many messages is entered as so many of them, evenly spread and weighted. They came in one
run, one a little later due than the other; the oldest is always among them, so the maximum is exact.
"""


class Latency:
    """
    Latencies of deliveries, in nanoseconds.

    Only messages due at ``since`` or later count: until the warm-up is over, ``since`` is beyond all times.
    """

    __slots__ = ("counts", "longest", "since")

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.longest = 0
        self.since = 2**63

    def record(self, due: list[int], first: int, count: int, now: int) -> None:
        """Enter ``count`` messages from ``first`` on, which came ``now``; ``due`` is the ring of times."""
        step = -(-count // POINTS)
        for number in range(first, first + count, step):
            self.enter(due[number % len(due)], min(step, first + count - number), now)

    def enter(self, due: int, count: int, now: int) -> None:
        """Enter ``count`` messages that were all due at one time, as a window's are."""
        if due >= self.since:
            took = now - due
            if took > self.longest:
                self.longest = took
            shift = took.bit_length() - SIGNIFICANT_BITS
            self.counts[took >> shift << shift if shift > 0 else took] += count

    def percentile(self, percent: float) -> float:
        """
        The latency in milliseconds that ``percent`` of the deliveries did not exceed; 0 if there were none.

        A value that was rounded is rounded up here, so that no figure is better than the truth.
        """
        wanted = sum(self.counts.values()) * percent / 100
        reached = 0
        for key in sorted(self.counts):
            reached += self.counts[key]
            if reached >= wanted:
                step = 1 << max(0, key.bit_length() - SIGNIFICANT_BITS)
                return min(key + step - 1, self.longest) / 1e6
        return 0.0

    def milliseconds(self) -> dict[str, float] | dict[str, None]:
        """The percentiles that a report shows, by name; each is ``None`` if there were no deliveries."""
        shown = {f"p{percent:g}": self.percentile(percent) for percent in (50, 90, 99, 99.9)}
        shown["max"] = self.longest / 1e6
        return shown if self.counts else dict.fromkeys(shown)
