"""To: what a hook returns so that a message goes somewhere else than into its sender's room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trioecho.protocol.room_name import check_room_name
from trioecho.rooms.member import Member

__all__ = ["Relay", "To", "parts"]


@dataclass(frozen=True, slots=True)
class To:
    """
    A message that goes to ``target``: to everybody in a room, by its name, or to one member.

    In a room it goes to all, whatever the option ``to`` says, and without the prefix, as what the application
    publishes itself; so ``To(member.room, message)`` also reaches the one who sent it.

    Raises:
        TypeError: the target is neither a name nor a member.
        ValueError: no room can have this name.

    """

    target: str | Member
    message: str | bytes

    def __post_init__(self) -> None:
        """Check the target: an application should hear of a mistake where it makes it."""
        if not isinstance(self.target, Member):
            check_room_name(self.target)


Relay = str | bytes | To | Sequence[str | bytes | To] | None
"""
What ``on_message`` returns: what becomes of a message.

A message is relayed in the room, as from the client: the same one or another. :class:`To` sends one somewhere
else. A list sends several, in its order. ``None`` sends nothing.
"""


def parts(relay: Relay) -> Sequence[str | bytes | To]:
    """
    Take what a hook has returned apart.

    Raises:
        TypeError: it is none of what it may be.

    """
    if relay is None:
        return ()
    if isinstance(relay, (str, bytes, To)):
        return (relay,)
    if not isinstance(relay, (list, tuple)):
        raise TypeError(f"on_message must return messages, To(...) or None, not {type(relay).__name__}")
    for part in relay:
        if not isinstance(part, (str, bytes, To)):
            raise TypeError(
                f"on_message must return str, bytes or To(...) in a list, not {type(part).__name__}"
            )
    return relay
