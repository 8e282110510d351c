"""A member: one client of a room, as the application sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import NamedTuple, Protocol

import trio

from trioecho.access.identity import Identity
from trioecho.counters import Counters
from trioecho.disconnect import SLOW
from trioecho.rooms.fan_out import offer
from trioecho.rooms.history import History
from trioecho.rooms.message import encoded_message
from trioecho.rooms.outbox import Outbox, State
from trioecho.rooms.personal import PersonalBatch
from trioecho.settings import Settings

__all__ = ["Client", "Member", "attach", "client_of", "detach"]

ID_BYTES = 8
"""Bytes of chance in an id: enough that no two members of a fleet of servers ever have the same."""


class Client(Protocol):
    """The client that a member stands for."""

    @property
    def outbox(self) -> Outbox:
        """What waits to be sent to it."""


class Where(Protocol):
    """The room that it is in."""

    history: History


class Hub(Protocol):
    """The rooms of its server."""

    settings: Settings
    counters: Counters


class Link(NamedTuple):
    """How a member reaches its client."""

    client: Client
    room: Where
    hub: Hub

    def batch(self, frame: bytes) -> PersonalBatch:
        """Return a frame as what goes to the client alone, where it is now."""
        past = self.client.outbox.past
        return PersonalBatch(frame, self.room.history.place if past is None else past.place)


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """
    One client of a room: what hooks are handed, and ``hub.members()`` returns.

    It stays valid when the client has gone; what is sent to it then reaches nobody. Members are equal only to
    themselves, and can be keys of a dictionary.

    Attributes:
        identity: who it is; ``identity.name`` is ``None`` for somebody without a name.
        room: the room it is in: the URL's path, percent-decoded.
        address: its address, as log lines have it.
        id: a name of this one connection, 16 letters and digits; another connection has another.

    """

    identity: Identity
    room: str
    address: str
    id: str = field(default_factory=lambda: token_hex(ID_BYTES))
    _link: Link | None = field(default=None, init=False, repr=False)

    @property
    def is_connected(self) -> bool:
        """Whether it can still be sent something."""
        link = self._link
        return link is not None and link.client.outbox.state in (State.DIRECT, State.QUEUEING)

    async def send(self, message: str | bytes) -> bool:
        """
        Send ``message`` to this client alone, behind what waits for it; return whether it goes to it.

        The message goes through the client's outbox, with its bound and its policy. Under ``wait`` this waits
        while the outbox is full, for ``stall_limit`` at most: then the client is disconnected as too slow.
        False: the client has gone, or has to go. A checkpoint in any case. If cancelled while it waits, the
        message was not sent.

        Raises:
            TypeError: the message is neither ``str`` nor ``bytes``.
            ValueError: it is larger than ``max_message_size``, or text that UTF-8 cannot encode.

        """
        await trio.lowlevel.checkpoint()
        if (link := self._link) is None:
            return False
        outbox, settings = link.client.outbox, link.hub.settings
        frame = encoded_message(message, settings.max_message_size)
        with trio.move_on_after(settings.stall_limit):
            while self.is_connected:
                batch = link.batch(frame)
                if offer(outbox, batch):
                    link.hub.counters.bytes_out += batch.size
                    return self.is_connected
                await outbox.wait_taken()
            return False
        outbox.disconnect(SLOW, link.batch(frame))
        return False

    def send_nowait(self, message: str | bytes) -> bool:
        """
        Do as :meth:`send`, but without waiting.

        Raises:
            trio.WouldBlock: the outbox is full, and the policy is ``wait``; the message was not sent.
            TypeError, ValueError: as :meth:`send`.

        """
        if (link := self._link) is None:
            return False
        batch = link.batch(encoded_message(message, link.hub.settings.max_message_size))
        if not self.is_connected:
            return False
        if not offer(link.client.outbox, batch):
            raise trio.WouldBlock
        link.hub.counters.bytes_out += batch.size
        return self.is_connected


def attach(member: Member, client: Client, room: Where, hub: Hub) -> None:
    """Let ``member`` stand for ``client``."""
    object.__setattr__(member, "_link", Link(client, room, hub))


def client_of(member: Member) -> Client | None:
    """Return the client that a member stands for, if it is still there."""
    return None if member._link is None else member._link.client


def detach(member: Member) -> None:
    """Let the client go that ``member`` stands for: it has gone."""
    object.__setattr__(member, "_link", None)
