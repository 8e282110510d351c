"""What a server knows of every connection it has, whatever is spoken over it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import trio

from trioecho.disconnect import Disconnect
from trioecho.transport.peer import Peer

__all__ = ["BaseConnection"]


class BaseConnection(ABC):
    """
    A connection of a server: plain HTTP first, and a client's session when a request asked for one.

    What only a client has is nothing here, so that all connections can be added up alike.

    Attributes:
        peer: who is at the other end.
        messages_in: messages that were taken from it.

    """

    __slots__ = ("_transport", "peer")

    kind: ClassVar[str]
    """What it is: ``http``, ``websocket`` or ``events``."""

    peer: Peer
    messages_in: int = 0

    def __init__(self, transport: trio.abc.Stream, peer: Peer) -> None:
        self._transport = transport
        self.peer = peer

    @property
    def address(self) -> str:
        """The peer's address, as log lines name it."""
        return str(self.peer)

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

    def ping(self) -> None:  # noqa: B027 - what is not a client's has timeouts of its own
        """Send something that asks for a sign of life, if the connection takes it now."""

    def alive_since(self, asked: float) -> bool:
        """Whether it gave a sign of life after ``asked`` (trio time)."""
        return True
