"""A holder: somebody for whom a server holds bytes."""

from __future__ import annotations

from typing import Protocol

from trioecho.disconnect import Disconnect

__all__ = ["Holder"]


class Holder(Protocol):
    """Somebody for whom bytes are held."""

    @property
    def held_bytes(self) -> int:
        """How many."""

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect it, without waiting."""
