"""Numbers as ``top`` writes them: short, in units that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

__all__ = ["amount", "bytes_text", "plot", "seconds_text"]

BLOCKS = " ▁▂▃▄▅▆▇█"


def amount(value: float) -> str:
    """Write a number: ``0.5``, ``17``, ``1,234``, ``1.23 M``."""
    if value >= 10_000_000_000:
        return f"{value / 1e9:,.1f} G"
    if value >= 1_000_000:
        return f"{value / 1e6:,.2f} M"
    return f"{value:,.0f}" if value >= 9.95 or value == int(value) else f"{value:.1f}"


def bytes_text(value: float) -> str:
    """Write bytes: ``17 B``, ``1.2 KiB``, ``345 MiB``."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    unit = 0
    while value >= 999.5 and unit < len(units) - 1:
        value /= 1024
        unit += 1
    return f"{value:,.1f} {units[unit]}" if unit and value < 99.95 else f"{value:,.0f} {units[unit]}"


def seconds_text(value: float) -> str:
    """Write a time: ``0.25 ms``, ``12 ms``, ``3.4 s``, ``5 min``."""
    if value < 0.9995:
        return f"{value * 1000:.2f} ms" if value < 0.01 else f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:,.0f} min"


def plot(values: Sequence[float], width: int, each: int, ever: int) -> str:
    """
    Draw the last values as blocks, the latest at the right; each column is the mean of ``each`` of them.

    ``ever`` is how many values there have been: columns stay as they are when another value comes. The
    highest block is the largest of the means.
    """
    first = ever - len(values)
    columns = [
        [value for _, value in column]
        for _, column in groupby(enumerate(values, first), lambda numbered: numbered[0] // each)
    ]
    means = [sum(column) / len(column) for column in columns[-width:]]
    most = max(means, default=0.0)
    blocks = [BLOCKS[max(1, round(mean / most * (len(BLOCKS) - 1))) if mean else 0] for mean in means]
    return "".join(blocks).rjust(width)
