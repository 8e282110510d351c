"""
A room's recent messages as lines of JSON, for whoever wants to read them and be gone.

They are made while they are sent, some kilobytes at a time and each in its turn, so that neither a long past
nor a message that is long as JSON (a control character has six letters) makes anybody wait. Nothing is held
for a client that does not read but the piece that it is being sent: not even the messages that are to follow,
so one that is too slow may find that the room has forgotten them, and is cut. For the same reason each piece
is compressed for itself, if the client accepts gzip.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode as b64
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime

import trio

from trioecho.http.gzip import GZIP, LEAST_BYTES, VARY_GZIP, Pieces, gzipped
from trioecho.http.response import (
    NO_STORE,
    HTTPError,
    Response,
    StreamedResponse,
    Unread,
    error_response,
)
from trioecho.protocol import frames
from trioecho.rooms.history import History
from trioecho.rooms.place import Place
from trioecho.rooms.registry import Registry, TooManyRooms
from trioecho.rooms.since import Since
from trioecho.transport.turns import Turns

__all__ = ["NDJSON", "RecentMessages"]

NDJSON = "application/x-ndjson"

MOST_BYTES = 1024 * 1024
"""A response is of messages that have about so many bytes; whoever wants more asks again."""

ONE = 1
"""A page of so many bytes is one fan-out, which has one time."""

PIECE_BYTES = 16 * 1024
PIECE_LINES = 50
"""So much of the messages, or so many of them, are made lines at once: a quarter of a millisecond."""

LINE_COST = 100
"""What a line counts for what stands in it beside its message (bytes)."""

LEAST = 64
"""A piece ends if no more could be added (bytes): more than a character, or three bytes of base64."""

TOO_MANY_ROOMS = error_response(503, "There are too many rooms: try again later.", ("Retry-After", "5"))


class RecentMessages:
    """The recent messages of one server's rooms."""

    def __init__(self, hub: Registry, turns: Turns) -> None:
        self._hub = hub
        self._turns = turns

    async def of(self, name: str, since: Since | None, *, gzip: bool) -> Response | StreamedResponse:
        """
        Return the messages of a room since a place, the last few, or all that it remembers.

        ``Trioecho-Place`` is where the response ends: asked with ``?after=`` that, the room gives what
        follows. With ``gzip`` it is compressed, if it is large enough.
        """
        if self._hub.logs is None:
            room = self._hub.room(name)
            history = self._hub.histories.get(name) if room is None else room.history
            return await self._response(history, name, since, gzip=gzip)
        try:
            with self._hub.hold(name) as held:
                await held.wait_open()
                return await self._response(held.history, name, since, gzip=gzip)
        except TooManyRooms:
            raise HTTPError(TOO_MANY_ROOMS) from None

    async def _response(
        self, history: History | None, name: str, since: Since | None, *, gzip: bool
    ) -> Response | StreamedResponse:
        if history is None:
            headers = [] if since is None or since.after is None else [("Trioecho-Missed", "unknown")]
            return _whole(b"", headers)
        history.forget_old()
        at, missed = (history.first, 0) if since is None else since.find(history)
        end = history.end_of(at, MOST_BYTES, LINE_COST)
        headers = [("Trioecho-Place", str(Place(history.epoch, end)))]
        if missed != 0:
            headers.append(("Trioecho-Missed", "unknown" if missed is None else str(missed)))
        if at == end:
            return _whole(b"", headers)
        lines = Lines(name, history, at, end)
        first = lines.make()
        if lines.done:
            if gzip and len(first) >= LEAST_BYTES:
                return _whole(await gzipped(first), [*headers, GZIP])
            return _whole(first, headers)
        if gzip:
            headers.append(GZIP)
        pieces = self._pieces(first, lines, name, Pieces() if gzip else None)
        await anext(pieces)  # it holds the room from now on
        return StreamedResponse(200, pieces, NDJSON, (NO_STORE, VARY_GZIP, *headers))

    async def _pieces(
        self, first: bytes, lines: Lines, name: str, gzip: Pieces | None
    ) -> AsyncGenerator[bytes, None]:
        """Give the pieces of a response, each made when it can be sent; an empty one comes first."""
        with nullcontext() if self._hub.logs is None else self._hub.hold(name):
            yield b""
            yield first if gzip is None else gzip.add(first)
            del first
            while not lines.done:
                await self._turns.take()
                yield lines.make() if gzip is None else gzip.add(lines.make())
            if gzip is not None:
                yield gzip.end()


def _whole(body: bytes, headers: Sequence[tuple[str, str]]) -> Response:
    """Return a response that is made already."""
    return Response(200, body, NDJSON, (NO_STORE, VARY_GZIP, *headers))


class Lines:
    """
    The lines of the messages of a room from one offset to another, made a piece at a time.

    Attributes:
        done: whether all have been made.

    """

    __slots__ = ("_at", "_end", "_history", "_name", "_when", "_written", "done")

    def __init__(self, name: str, history: History, at: int, end: int) -> None:
        self.done = False
        self._name = name
        self._history = history
        self._at = at
        self._end = end
        self._written = 0  # bytes of the next message
        self._when = ""  # it was said

    def make(self) -> bytes:
        """
        Return the next piece.

        Raises:
            Unread: the next message has been forgotten.

        """
        made: list[bytes] = []
        left, lines = PIECE_BYTES, 0
        while not self.done and left >= LEAST and lines < PIECE_LINES:
            for first, payload in self._fanned_out_together():
                left = self._write(made, first, payload, left)
                lines += 1
                if left < LEAST or lines == PIECE_LINES or self._at == self._end:
                    break
            self.done = self._at == self._end
        return b"".join(made)

    def _fanned_out_together(self) -> Iterator[tuple[int, bytes]]:
        """Return the next messages, which have the same time, each by its first byte and its payload."""
        history, start = self._history, self._at
        if start < history.first:
            raise Unread("forgotten", "read so slowly that the room has forgotten what was to follow")
        page = history.page(start, ONE)
        assert page is not None
        said_at = history.time_of(start) - trio.current_time() + time.time()
        when = datetime.fromtimestamp(said_at, UTC).isoformat(timespec="milliseconds")
        self._when = when.replace("+00:00", "Z")
        return frames.payloads(page.frames)

    def _write(self, made: list[bytes], first: int, payload: bytes, left: int) -> int:
        """Write the next message, or what ``left`` bytes are enough for; return how many are left then."""
        text = first == frames.TEXT
        if not self._written:
            made.append(self._head(text=text))
            left = max(LEAST, left - LINE_COST)
        stop = _cut(payload, self._written, left, text=text)
        part = payload[self._written : stop]
        made.append(json.dumps(part.decode(), ensure_ascii=False)[1:-1].encode() if text else b64(part))
        if stop < len(payload):
            self._written = stop
            return 0
        made.append(b'"}\n')
        self._at, self._written = self._at + 1, 0
        return left - len(part)

    def _head(self, *, text: bool) -> bytes:
        """Return the line of the next message up to its content."""
        line = json.dumps(
            {
                "id": str(Place(self._history.epoch, self._at + 1)),
                "time": self._when,
                "type": "text" if text else "binary",
                "room": self._name,
                "data" if text else "base64": "",
            },
            ensure_ascii=False,
        )
        return line.removesuffix('"}').encode()


def _cut(payload: bytes, start: int, most: int, *, text: bool) -> int:
    """Return where a part of a message ends that begins at ``start``, so that it can be written alone."""
    stop = start + most
    if stop >= len(payload):
        return len(payload)
    if not text:
        return stop - most % 3
    while payload[stop] & 0xC0 == 0x80:  # in the middle of a character
        stop -= 1
    return stop
