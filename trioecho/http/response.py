"""An answer to one HTTP request, as a value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "Refused", "as_json", "plain", "refuse"]

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    A status, a body and its type, and further headers; what frames it is added when it is sent.

    ``closes`` means that the connection is closed after it, because what follows can't be trusted or is
    not wanted.
    """

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False

    @property
    def sentence(self) -> str:
        """The body of an answer that is one line of text, for the log."""
        return self.body.decode(errors="replace").strip()


class Refused(Exception):
    """A request cannot be served; ``answer`` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.sentence)
        self.answer = answer


def plain(status: int, sentence: str, *headers: tuple[str, str]) -> Answer:
    """Answer with one line of text, and go on."""
    return Answer(status, f"{sentence}\n".encode(), headers=headers)


def refuse(status: int, sentence: str, *headers: tuple[str, str]) -> Answer:
    """Answer no with one line of text, and close the connection."""
    return Answer(status, f"{sentence}\n".encode(), headers=headers, closes=True)


def as_json(status: int, value: Any) -> Answer:
    """Answer with one JSON value."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode() + b"\n", "application/json")
