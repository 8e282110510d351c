"""Which of the types on offer a client wants (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["wanted_type"]


def wanted_type(accept: str | None, offered: Sequence[str], otherwise: str) -> str | None:
    """
    Return the type that the header ``accept`` prefers, or ``None`` if it takes none of them.

    A type of ``offered`` must be named: ``*/*`` is what every client says, and gets ``otherwise``. Between
    equals the order of ``offered`` decides.
    """
    if accept is None:
        return otherwise
    weights = dict([_range(part) for part in accept.split(",")])
    best, most = None, 0.0
    for name in offered:
        weight = weights.get(name, 0.0)
        if weight > most:
            best, most = name, weight
    for name in (otherwise, otherwise.partition("/")[0] + "/*", "*/*"):
        if name in weights:
            return otherwise if weights[name] > most else best
    return best


def _range(part: str) -> tuple[str, float]:
    """Take one element of the header apart: the media range, and its weight, 1 if it has none."""
    name, *parameters = part.split(";")
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                return name.strip().lower(), min(max(float(value), 0.0), 1.0)
            except ValueError:
                return name.strip().lower(), 0.0
    return name.strip().lower(), 1.0
