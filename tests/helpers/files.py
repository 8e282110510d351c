"""Open files, and how it is when there are none left."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_files"]


@contextmanager
def without_files() -> Iterator[None]:
    """Let nobody in this process open another file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    least = os.dup(0)  # the least number that is free
    os.close(least)
    resource.setrlimit(resource.RLIMIT_NOFILE, (least, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
