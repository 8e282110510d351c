"""
A worker's part of what all workers may do together.

The kernel spreads connections over workers by chance, so what an address or a name may have cannot just be
divided: of a hundred connections one of four workers gets more than 25 nearly always. A worker's part is
therefore three standard deviations larger: an address that keeps to its limit is seldom refused by chance,
and one that does not may have more than its limit: with four workers about 150 of 100.
"""

from __future__ import annotations

import math
from dataclasses import replace

from trioecho.rates import Rate
from trioecho.settings import Settings

__all__ = ["part_of"]

DEVIATIONS = 3


def part_of(settings: Settings, workers: int) -> Settings:
    """Return the settings of one of several workers."""
    connections = settings.max_connections_per_address
    return replace(
        settings,
        max_connections=-(-settings.max_connections // workers),
        max_memory=max(settings.max_memory // workers, settings.max_message_size)
        if settings.max_memory
        else 0,
        max_connections_per_address=_by_chance(connections, workers),
        connection_rate_per_address=_rate(settings.connection_rate_per_address, workers),
        room_rate_per_address=_rate(settings.room_rate_per_address, workers),
        room_rate_per_name=_rate(settings.room_rate_per_name, workers),
    )


def _by_chance(amount: float, workers: int) -> int:
    """Return how many of so many one worker should expect at most."""
    part = amount / workers
    deviation = math.sqrt(part * (1 - 1 / workers))
    return min(math.ceil(amount), math.ceil(part + DEVIATIONS * deviation))


def _rate(given: Rate | str | None, workers: int) -> Rate | None:
    """Return a worker's part of a rate: in the long run exactly that, and at once what chance may bring."""
    rate = Rate.of(given)
    if rate is None:
        return None
    return Rate(rate.per_second / workers, min(rate.burst, max(1, _by_chance(rate.burst, workers))))
