"""
Who is in a room on other servers, as its own server knows it: what presence adds to its own members.

A member of another server is a name and an id. It has no outbox here and can't be sent anything alone, so it
is no :class:`~trioecho.rooms.member.Member`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = ["NOBODY", "Elsewhere", "Listener", "Named", "Presences", "Remote", "SharedPresence"]


class Named(Protocol):
    """A member that has a name: a client that is somebody."""

    @property
    def id(self) -> str:
        """A name of this one connection that no other has, in any process; there once it is in the room."""

    @property
    def name(self) -> str | None:
        """Its name."""


class Remote(NamedTuple):
    """A member with a name on another server."""

    id: str
    name: str


class Elsewhere(Protocol):
    """Who is in one room on all other servers."""

    @property
    def named(self) -> int:
        """How many have a name."""

    @property
    def unnamed(self) -> int:
        """How many have none."""

    @property
    def names(self) -> Iterable[Named] | None:
        """Those that have one; ``None``: they are too many, or it is not known yet who they are."""


class Listener(Protocol):
    """Whoever wants to know what changes elsewhere. None of these waits."""

    def came(self, member: Named) -> None:
        """Take notice that a member is in the room."""

    def left(self, member: Named) -> None:
        """Take notice that a member has left."""

    def recount(self) -> None:
        """Take notice that the numbers have changed."""

    def renew(self) -> None:
        """Take notice that more has changed than is said one by one."""


class SharedPresence(Protocol):
    """One room's presence, shared with other servers. None of these waits."""

    def came(self, member: Named) -> None:
        """Let the others know that a member is in the room here."""

    def left(self, member: Named) -> None:
        """Let them know that it has left."""

    def watch(self, listener: Listener) -> Elsewhere:
        """Tell a listener what changes elsewhere, and return what is known of it, then and later."""

    def unwatch(self, listener: Listener) -> None:
        """Tell it no more; harmless if it was not told."""

    def close(self) -> None:
        """Let it go: the room has ended. Whoever was in it may still leave."""


class Presences(Protocol):
    """Who shares the presence of all rooms."""

    def open(self, name: str) -> SharedPresence:
        """Share the presence of a room."""

    async def ask(self, name: str) -> Elsewhere:
        """Return who is in a room on other servers; nobody, if that can't be found out soon."""


class Nobody(NamedTuple):
    """Nobody anywhere else."""

    named: int = 0
    unnamed: int = 0
    names: tuple[Remote, ...] = ()


NOBODY = Nobody()
"""Who is elsewhere, where there is no elsewhere."""
