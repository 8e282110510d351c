"""
Who is in a room elsewhere, for those who ask once: read once for all who ask meanwhile.

Whoever asks may be a stranger, who asks as often as they like. So of each room one question at most waits to
be read, and none that nobody waits for any more: those who watch rooms have theirs read in the same line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import trio

from trioecho.engine.elsewhere import Elsewhere
from trioecho.engine.presence_reader import PresenceReader

__all__ = ["PresenceQuestions"]


class _Question:
    """What was asked of one room: how many wait for it, and what was found."""

    __slots__ = ("answered", "askers", "elsewhere")

    def __init__(self) -> None:
        self.elsewhere = Elsewhere()
        self.answered = trio.Event()
        self.askers = 0


class PresenceQuestions:
    """Has ``reader`` read rooms for whoever asks; ``take`` puts what was read of a key into an elsewhere."""

    def __init__(self, reader: PresenceReader, take: Callable[[bytes, Elsewhere, Any], object]) -> None:
        self._reader = reader
        self._take = take
        self._asked: dict[bytes, _Question] = {}

    async def ask(self, key: bytes) -> Elsewhere:
        """Return who is in the room of this key; never, if the connection is lost before."""
        question = self._asked.get(key)
        is_new = question is None
        if question is None:
            question = self._asked[key] = _Question()
        question.askers += 1
        try:
            if is_new:
                self._reader.read(key, partial(self._answer, key, question), lambda: question.askers > 0)
            await question.answered.wait()
        finally:
            question.askers -= 1
            if not question.askers:
                self._forget(key, question)
        return question.elsewhere

    def disconnected(self) -> None:
        """Forget what was asked: it is not answered any more."""
        self._asked.clear()

    def _answer(self, key: bytes, question: _Question, reply: Any) -> None:
        self._forget(key, question)
        self._take(key, question.elsewhere, reply)
        question.answered.set()

    def _forget(self, key: bytes, question: _Question) -> None:
        if self._asked.get(key) is question:
            del self._asked[key]
