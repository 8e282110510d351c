"""What a server knows of every connection it has, whatever is spoken over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import trio

from trioecho.access.addresses import address_key
from trioecho.access.identity import ANYONE, Identity
from trioecho.disconnect import Disconnect
from trioecho.rooms.member import Member
from trioecho.transport.peer import Peer

__all__ = ["BaseConnection"]


class BaseConnection(ABC):
    """
    A connection of a server: plain HTTP first, and a client's session when a request asked for one.

    What only a client has is nothing here, so that all connections can be added up alike.

    Attributes:
        peer: who is at the other end.
        identity: who that was found to be, once it is a client.
        messages_in: messages that were taken from it.

    """

    __slots__ = ("_member", "_transport", "peer")

    kind: ClassVar[str]
    """What it is: ``http``, ``websocket`` or ``events``."""

    peer: Peer
    identity: Identity = ANYONE
    _member: Member  # not there until somebody asks for it
    messages_in: int = 0
    _connected_at: float | None = None

    def __init__(self, transport: trio.abc.Stream, peer: Peer) -> None:
        self._transport = transport
        self.peer = peer

    @property
    def address(self) -> str:
        """The peer's address, as log lines name it."""
        return str(self.peer)

    @property
    def name(self) -> str | None:
        """The name that it was let in under, if it has one."""
        return self.identity.name

    @property
    def joined_at(self) -> float:
        """When it became a client (trio time): now, if it is none yet."""
        return trio.current_time() if self._connected_at is None else self._connected_at

    @property
    def known_as(self) -> tuple[str | None, str | None]:
        """The address and the name by which it is known again if it is too slow."""
        return address_key(self.peer.host), self.identity.name

    @abstractmethod
    def disconnect(self, why: Disconnect) -> None:
        """End it, without waiting, unless it is ending already."""

    @property
    def sent(self) -> int:
        """Messages handed to the network for it."""
        return 0

    @property
    def dropped(self) -> int:
        """Messages that a dropping policy took from it."""
        return 0

    @property
    def pending_bytes(self) -> int:
        """What waits to be sent to it (bytes)."""
        return 0

    @property
    def held_bytes(self) -> int:
        """What the server holds for it: what waits to be sent, and what has come of a message (bytes)."""
        return self.pending_bytes

    def message_age(self) -> float:
        """How long ago a message began that is not complete (seconds); 0 if there is none."""
        return 0.0

    def ping(self) -> None:  # noqa: B027 - what is not a client's has timeouts of its own
        """Send something that asks for a sign of life, if the connection takes it now."""

    def alive_since(self, asked: float) -> bool:
        """Whether it gave a sign of life after ``asked`` (trio time)."""
        return True
