"""
Resuming: where in the room a client is, so that it can come back there.

A server that speaks ``trioecho.v1`` says it by heads among its messages, which are taken out here. With any
other server everything is as if nobody had asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

from trioecho.client.receive_queue import ReceiveQueue
from trioecho.protocol.head import SUBPROTOCOL
from trioecho.protocol.url import Address

__all__ = ["BadHead", "ResumingQueue"]

EPOCH = re.compile("[a-z0-9]{8}")


class BadHead(Exception):
    """The server sent something else than a head where one must be; the text says what."""


class ResumingQueue(ReceiveQueue):
    """
    A receive queue that takes heads for what they are.

    ``on_missed`` is called with the number of messages that the server says are missing, or ``None`` if
    nobody knows how many.

    Attributes:
        place: where the client is, as it is written in an address; ``None`` if no server has said.

    """

    def __init__(self, on_missed: Callable[[int | None], None]) -> None:
        super().__init__()
        self._on_missed = on_missed
        self._epoch: str | None = None
        self._offset = self._left = 0
        self._speaks = self._begun = False

    @property
    def place(self) -> str | None:
        """The place after the last message that has come."""
        return None if self._epoch is None else f"{self._epoch}-{self._offset}"

    def begin(self, subprotocol: str | None) -> None:
        """Begin a connection for which the server has chosen ``subprotocol``."""
        self._left = 0
        self._speaks, self._begun = subprotocol == SUBPROTOCOL, False

    def asking(self, address: Address) -> Address:
        """Return the address that asks for what follows :attr:`place`."""
        if self.place is None:
            return address
        path, _, query = address.resource.partition("?")
        kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in ("after", "last")]
        return replace(address, resource=f"{path}?{'&'.join([*kept, f'after={self.place}'])}")

    def put(self, message: str | bytes) -> None:
        """
        Add a message, or take notice of a head.

        Raises:
            BadHead: it is neither.

        """
        if not self._speaks:
            super().put(message)
        elif self._left:
            self._left -= 1
            self._offset += 1
            super().put(message)
        else:
            try:
                self._take(message)
            except BadHead:
                if self._begun:
                    raise
                # Some servers agree to any subprotocol, and then say nothing of it.
                self._speaks = False
                super().put(message)
            self._begun = True

    def _take(self, message: str | bytes) -> None:
        try:
            head = json.loads(message) if isinstance(message, str) else None
        except (ValueError, RecursionError):
            head = None
        if not isinstance(head, dict):
            raise BadHead("a message that is no head")
        if "presence" in head and "epoch" not in head:
            return  # who is in the room, because the address asks for it; that has no place
        epoch, offset, count = head.get("epoch"), head.get("offset"), head.get("count")
        missed = head.get("missed", 0)
        if not isinstance(epoch, str) or EPOCH.fullmatch(epoch) is None:
            raise BadHead("a head without an epoch")
        if type(offset) is not int or type(count) is not int or offset < 0 or count < 0:
            raise BadHead("a head without an offset and a count")
        if missed is not None and (type(missed) is not int or missed < 0):
            raise BadHead("a head with a number of missed messages that is none")
        self._epoch, self._offset, self._left = epoch, offset, count
        if missed != 0:
            self._on_missed(missed)
