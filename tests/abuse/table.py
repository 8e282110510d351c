"""What was measured, as rows of a Markdown table."""

from __future__ import annotations

from abuse.trial import Result

__all__ = ["HEADER", "row"]

HEADER = """\
| abuse | p50 ms | p99 ms | max ms | memory MB | after MB | log kB | goal |
|---|---:|---:|---:|---:|---:|---:|---|"""


def row(result: Result) -> str:
    """Return the row of one abuse."""
    times = [f"{result.quantile(share) * 1000:.1f}" if result.took else "" for share in (0.5, 0.99, 1)]
    sizes = [f"{size / 1e6:,.0f}" for size in (result.peak, result.after)]
    verdict = "met" if result.met else "MISSED"
    if result.problems:
        verdict += f": {'; '.join(result.problems)}"
    return f"| {' | '.join([result.abuse.what, *times, *sizes, f'{result.log / 1000:,.0f}', verdict])} |"
