"""Membership: a session's :class:`~trioecho.rooms.member.Member`, made when somebody first asks for it."""

from __future__ import annotations

from typing import Protocol

from trioecho.access.identity import Identity
from trioecho.rooms.member import Client, Member, attach, detach
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room

__all__ = ["forget_member", "member_of"]


class Known(Client, Protocol):
    """A session, as far as its member has to do with it."""

    identity: Identity
    _member: Member

    @property
    def address(self) -> str:
        """Its address, as log lines have it."""


def member_of(session: Known, room: Room, hub: Registry) -> Member:
    """Return how the application sees a session that is in ``room``: always the same object."""
    try:
        return session._member
    except AttributeError:
        member = session._member = Member(session.identity, room.name, session.address)
        attach(member, session, room, hub)
        return member


def forget_member(session: Known) -> None:
    """Let the member of a session that has ended, if anybody has asked for it, reach nobody any more."""
    try:
        detach(session._member)
    except AttributeError:
        return
