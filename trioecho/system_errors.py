"""Why the system refused something, as our sentences and log lines say it."""

from __future__ import annotations

__all__ = ["reason_of"]


def reason_of(error: OSError) -> str:
    """Return what an error says, for the middle of a sentence: ``no such file or directory``."""
    said = error.strerror or str(error)
    # Not the first letter of a name: "AF_UNIX path too long".
    return said if said[:2].isupper() else said[:1].lower() + said[1:]
