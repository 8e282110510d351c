"""A source: where ``top`` gets a status from, again and again."""

from __future__ import annotations

from typing import Protocol

from trioecho.web.status import Status

__all__ = ["Away", "Source"]


class Away(Exception):
    """There is no status now, perhaps there is later; the text is one sentence without its full stop."""


class Source(Protocol):
    """Where a status comes from. ``str()`` names it to a person."""

    async def get(self) -> Status:
        """
        Return the status of now.

        Raises:
            Away: there is none.

        """

    async def aclose(self) -> None:
        """Close what is open."""
