"""
What a node answers to somebody who asks all nodes of an engine how they are.

Whoever asks publishes a name of their own in one channel that all nodes subscribe to, and each node publishes
its answer in a channel of that name. So nothing is worked out while nobody asks, nothing is kept in the
engine, and the engine says how many nodes there are: as many as it has handed the question to.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trioecho.engine.connection import Connection
from trioecho.log import logger

__all__ = ["Answers", "answer_channel", "question_channel"]

ASKER = re.compile(rb"[a-z0-9]{8}")

MOST_ASKERS = 20
"""So many are answered with one answer; more of them ask again, as each does every second."""


def question_channel(prefix: str) -> bytes:
    """Return the channel in which all nodes are asked."""
    return f"{prefix}:status".encode()


def answer_channel(prefix: str, asker: bytes) -> bytes:
    """Return the channel in which one who asks is answered."""
    return b"%s:%s" % (question_channel(prefix), asker)


class Answers:
    """The answers of one node, while :meth:`run` runs: with nothing to say it hears no questions."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._channel = question_channel(prefix)
        self._connection: Connection | None = None
        self._turn = trio.Lock()
        self._asked: set[bytes] = set()
        self._wake = trio.Event()

    def connected(self, connection: Connection) -> None:
        """Hear questions over a connection from now on."""
        self._connection = connection
        if self._turn.locked():
            connection.subscribe([self._channel])

    def disconnected(self) -> None:
        """Forget the connection, and who has asked over it."""
        self._connection = None
        self._asked.clear()

    def heard(self, channel: bytes, message: bytes) -> None:
        """Take what was pushed, if it is a question."""
        if channel == self._channel and ASKER.fullmatch(message) and len(self._asked) < MOST_ASKERS:
            self._asked.add(message)
            self._wake.set()

    async def run(self, work: Callable[[], Awaitable[bytes]]) -> None:
        """Answer with what ``work`` returns, until cancelled. Of several, one does, until it has ended."""
        async with self._turn:
            if self._connection is not None:
                self._connection.subscribe([self._channel])
            try:
                while True:
                    await self._wake.wait()
                    self._wake = trio.Event()
                    await self._answer(work)
            finally:
                if self._connection is not None:
                    self._connection.unsubscribe([self._channel])

    async def _answer(self, work: Callable[[], Awaitable[bytes]]) -> None:
        asked, self._asked = self._asked, set()
        try:
            answer = await work()
        except Exception:
            logger.exception("working out the status failed; it is not told")
            return
        if self._connection is not None:
            for asker in asked:
                channel = answer_channel(self._prefix, asker)
                self._connection.send(b"PUBLISH", channel, answer, then=_forget)


def _forget(reply: Any) -> None:
    """Take notice that it was published: nobody needs to know to how many."""
