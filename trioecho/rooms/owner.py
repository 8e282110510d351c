"""The owner of an outbox: a client of any kind, or the application's subscription."""

from __future__ import annotations

from typing import Protocol

from trioecho.disconnect import Disconnect

__all__ = ["Owner"]


class Owner(Protocol):
    """What an outbox needs of the one it belongs to. None of these waits."""

    @property
    def joined_at(self) -> float:
        """When it came (trio time)."""

    @property
    def known_as(self) -> tuple[str | None, str | None]:
        """The address and the name by which it is known again, if it is a client and has them."""

    def start_writer(self) -> None:
        """Start a task that runs :meth:`DirectOutbox.drain`; never called for an outbox without a wire."""

    def on_first_drop(self) -> None:
        """The first message was dropped."""

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect the client."""

    def on_space(self) -> None:
        """There is space again in an outbox that was full."""
