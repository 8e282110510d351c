"""
A response to one HTTP request, as a value.

It is checked when it is made, so that a mistake shows where it was made, with the traceback of whoever made
it, and not later as an answer that cannot be sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from trioecho.protocol.escape import quote

__all__ = [
    "NO_STORE",
    "VARY",
    "HTTPError",
    "Response",
    "StreamedResponse",
    "Unread",
    "error_response",
    "framed",
    "json_response",
    "text_response",
    "unasked",
]

TEXT = "text/plain; charset=utf-8"

NO_STORE = ("Cache-Control", "no-store")
"""For what is true only now: no cache may keep it."""

VARY = ("Vary", "Accept")
"""The response depends on what the client accepts, which a cache must know."""

STATUSES = frozenset({status.value for status in HTTPStatus if status >= 200})
"""The final statuses that are registered; the interim ones (1xx) are sent by the exchange itself."""

BODILESS = frozenset({204, 205, 304})
"""Statuses of responses that have no body (RFC 9110, 15.3.5, 15.3.6 and 15.4.5)."""

LENGTHLESS = frozenset({204, 304})
"""Responses without a body that also have no length and type (RFC 9110, 8.6)."""

FRAMING = frozenset({"connection", "content-length", "content-type", "date", "transfer-encoding"})
"""Headers that are added when a response is sent; a second one could contradict it."""

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""A header's name (RFC 9110, 5.6.2)."""

VALUE = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
"""A header's value: printable ASCII, with no space at either end (RFC 9110, 5.5)."""

MAX_SENTENCE = 300
"""How much of a response's text the log shows (characters)."""

MAX_QUOTE = 100
"""How much of a wrong value an error shows (characters)."""


@dataclass(frozen=True, slots=True)
class Response:
    """
    A status, a body and its type, and further headers; what frames it is added when it is sent.

    Attributes:
        status: a registered final status, 200 to 511.
        body: bytes; empty for a status that has no body (204, 205, 304).
        content_type: the type of the body, as the header has it.
        headers: pairs of a name and a value, both ASCII.
        closes: whether the connection is closed after it, because what follows can't be trusted or is not
            wanted.

    Raises:
        TypeError: a part has the wrong type.
        ValueError: the status is not a registered final one, a header could not be sent as it is or is one
            that the server adds itself, or there is a body where none is allowed.

    """

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False

    def __post_init__(self) -> None:
        """Check every part."""
        if not isinstance(self.status, int) or self.status not in STATUSES:
            shown = quote(repr(self.status), MAX_QUOTE)
            raise ValueError(f"status must be a registered final one, 200 to 511, not {shown}")
        if not isinstance(self.body, bytes):
            raise TypeError(f"body must be bytes, not {type(self.body).__name__}")
        if self.body and self.status in BODILESS:
            raise ValueError(f"a response with status {self.status} has no body")
        _check_value("content_type", self.content_type)
        for header in self.headers:
            if not isinstance(header, tuple) or len(header) != 2:
                shown = quote(repr(header), MAX_QUOTE)
                raise TypeError(f"headers must be pairs of a name and a value, not {shown}")
            name, value = header
            if not isinstance(name, str) or TOKEN.fullmatch(name) is None:
                raise ValueError(f"not the name of a header: {quote(repr(name), MAX_QUOTE)}")
            if name.lower() in FRAMING:
                raise ValueError(f"the server adds the header {name} itself")
            _check_value(f"the header {quote(name, MAX_QUOTE)}", value)

    @property
    def sentence(self) -> str:
        """The body of a response that is one line of text, for the log."""
        return quote(self.body[: 4 * MAX_SENTENCE].decode(errors="replace").strip(), MAX_SENTENCE)


@dataclass(frozen=True, slots=True, eq=False)
class StreamedResponse:
    """
    A response with a body that is made while it is sent, so that of a long one only a piece is held.

    Attributes:
        status: as in :class:`Response`.
        pieces: the body. One piece after another is asked for, when the one before has been sent; what it
            raises, :class:`Unread` above all, ends the connection in the middle of the body.
        content_type, headers, closes: as in :class:`Response`.

    """

    status: int
    pieces: AsyncGenerator[bytes, None]
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False


class Unread(Exception):
    """A client does not read its response, and nobody waits any longer; it is counted by ``cause``."""

    def __init__(self, cause: str, why: str) -> None:
        super().__init__(why)
        self.cause = cause


class HTTPError(Exception):
    """A request cannot be served; ``response`` says why. It is counted by ``cause``, or by its status."""

    def __init__(self, response: Response, *, cause: str = "") -> None:
        super().__init__(response.sentence)
        self.response = response
        self.cause = cause or str(response.status)


def text_response(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """Return a response of one line of text, after which the connection goes on."""
    return Response(status, f"{sentence}\n".encode(), headers=headers)


def error_response(status: int, sentence: str, *headers: tuple[str, str]) -> Response:
    """Return a response of one line of text, after which the connection is closed."""
    return Response(status, f"{sentence}\n".encode(), headers=headers, closes=True)


def framed(response: Response | StreamedResponse, *, closes: bool) -> list[tuple[str, str]]:
    """Return the headers of a response, with those that frame it; of a streamed one they are h11's matter."""
    headers = [("Date", formatdate(usegmt=True)), *response.headers]
    if response.status not in LENGTHLESS:
        headers.append(("Content-Type", response.content_type))
        if isinstance(response, Response):
            headers.append(("Content-Length", str(len(response.body))))
    if closes:
        headers.append(("Connection", "close"))
    return headers


def unasked(response: Response) -> bytes:
    """Return a response as it is sent to a connection of which no request is read; the only one there."""
    headers = framed(response, closes=True)
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + response.body


def json_response(status: int, value: Any, *headers: tuple[str, str]) -> Response:
    """Return a response that is one JSON value."""
    body = json.dumps(value, ensure_ascii=False).encode() + b"\n"
    return Response(status, body, "application/json", headers)


def _check_value(what: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if VALUE.fullmatch(value) is None:
        raise ValueError(f"{what} must be printable ASCII on one line, not {quote(repr(value), MAX_QUOTE)}")
