"""What rooms refuse, and why."""

from __future__ import annotations

__all__ = ["ShuttingDown", "TooManyRooms"]


class TooManyRooms(Exception):
    """There are ``max_rooms`` rooms already, and this would be one more."""


class ShuttingDown(Exception):
    """The server is shutting down: it takes no more messages and no more subscriptions."""
