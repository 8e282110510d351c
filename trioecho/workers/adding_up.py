"""Metrics of several workers, added up: what Prometheus reads of one address for all of them."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["added_up"]

SAMPLE = re.compile(rb"([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?) ([^ ]+)")

LARGEST = (b"trioecho_engine_round_trip_seconds", b"process_open_fds", b"process_max_fds")
SMALLEST = (b"trioecho_engine_up", b"process_start_time_seconds")
"""What is no sum: the largest, or the smallest, of all workers."""


def added_up(pages: Sequence[bytes]) -> bytes:
    """Add up samples of one name and labels in pages of Prometheus' text format; the first has the order."""
    lines: list[bytes] = []
    values: dict[bytes, float] = {}
    comments: set[bytes] = set()
    for page in pages:
        for line in page.splitlines():
            if line.startswith(b"#"):
                if line not in comments:
                    comments.add(line)
                    lines.append(line)
                continue
            found = SAMPLE.fullmatch(line)
            if found is None:
                continue
            name, value = found[1], float(found[2])
            if name not in values:
                lines.append(name)
                values[name] = value
            elif name in LARGEST:
                values[name] = max(values[name], value)
            elif name in SMALLEST:
                values[name] = min(values[name], value)
            else:
                values[name] += value
    return b"".join(
        line + b"\n" if line.startswith(b"#") else b"%s %s\n" % (line, repr(values[line]).encode())
        for line in lines
    )
