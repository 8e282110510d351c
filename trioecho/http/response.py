"""An answer to one HTTP request, as a value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["HTTPError", "Response", "error_response", "json_response", "text_response"]

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
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


class HTTPError(Exception):
    """A request cannot be served; ``answer`` says why."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.sentence)
        self.response = response


def text_response(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """Response with one line of text, and go on."""
    return Response(status, f"{sentence}\n".encode(), headers=headers)


def error_response(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """Response no with one line of text, and close the connection."""
    return Response(status, f"{sentence}\n".encode(), headers=headers, closes=True)


def json_response(status: int, value: Any) -> Response:
    """Response with one JSON value."""
    return Response(status, json.dumps(value, ensure_ascii=False).encode() + b"\n", "application/json")
