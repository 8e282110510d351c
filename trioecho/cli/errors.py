"""What a command raises when it cannot go on and it is nobody's bug."""

from __future__ import annotations

__all__ = ["Failure"]


class Failure(Exception):
    """One clear sentence for stderr, and exit code 1."""
