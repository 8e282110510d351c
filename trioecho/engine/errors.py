"""What ends a connection to the engine."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["EngineLost", "EngineRefused", "first_of"]


class EngineLost(Exception):
    """
    The connection is lost, or of no use any more; it says why, and holds nothing that is secret.

    ``spoke``: whether there was an engine that could be used, so that it pays to try again soon.
    """

    spoke = False


class EngineRefused(EngineLost):
    """The engine answered a command with an error; ``code`` is its first word (``NOAUTH``, ``OOM``)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def first_of(group: BaseExceptionGroup[EngineLost]) -> EngineLost:
    """Return the reason for which a connection was lost: what the engine answered, if it said something."""
    leaves = list(_leaves(group))
    return next((lost for lost in leaves if isinstance(lost, EngineRefused)), leaves[0])


def _leaves(group: BaseExceptionGroup[EngineLost]) -> Iterator[EngineLost]:
    for inner in group.exceptions:
        if isinstance(inner, BaseExceptionGroup):
            yield from _leaves(inner)
        else:
            yield inner
