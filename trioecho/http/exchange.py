"""
One exchange: a request read from a connection, and its answer written to it (RFC 9112, through h11).

Stricter than h11 where two readers might understand one request differently: a bare CR or LF, a folded
header and a length that is said twice are refused. After a request that was refused nothing is read any
more, so what follows it can't be taken for a request.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio

from trioecho.http.request import Request, judge
from trioecho.http.response import HTTPError, Response, error_response
from trioecho.settings import Settings

__all__ = ["Exchange"]

MAX_HEAD_BYTES = 16 * 1024
"""The largest request head (bytes); browsers with many cookies stay under 8 KiB."""

MAX_LINE_BYTES = 8 * 1024
"""The longest request line (bytes), which RFC 9112 (3) asks for: what is longer is answered 414, not 431."""

RECEIVE_BYTES = 64 * 1024
"""One read from the network (bytes)."""

IDLE_TIMEOUT = 75.0
"""How long a connection may stay silent between two requests (seconds). Longer than the 60 s for which nginx
keeps an idle connection to us, so that it is the one who hangs up, and never with a request under way."""

ANSWER_TIMEOUT = 30.0
"""How long a client may take to take an answer (seconds)."""

BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
"""Answers without a body, and so without its length and type (RFC 9110, 8.6)."""

ODD_LINES = re.compile(rb"\r[^\n]|[^\r]\n|\n[ \t]|\x00")
"""What no request head may hold: a bare CR, a bare LF, a folded header, a zero byte."""

TOO_LATE = error_response(408, "The request did not arrive in time.")
NOT_HTTP = error_response(400, "This is not a valid HTTP request: it does not begin like one.")
ODD = error_response(
    400, "This is not a valid HTTP request: its lines must end in CRLF, and none may be folded."
)
LINE_TOO_LONG = error_response(414, f"The request line is longer than {MAX_LINE_BYTES} bytes.")
HEAD_TOO_LARGE = error_response(431, f"The request head is larger than {MAX_HEAD_BYTES} bytes.")
NOT_ALL = error_response(400, "The body ended before it was complete.")


class Exchange:
    """One request and its answer. ``early`` is what has been read of the request already."""

    def __init__(self, transport: trio.abc.Stream, limits: Settings, early: bytes = b"") -> None:
        self._transport = transport
        self._limits = limits
        self._head = bytearray(early)
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._only_head = self._complete = False
        self._declared = 0

    @property
    def begun(self) -> bool:
        """Whether a byte of the request is there."""
        return bool(self._head)

    @property
    def rest(self) -> bytes:
        """What came after the request."""
        return self._h11.trailing_data[0]

    async def receive(self, patience: float, *, first: bool = True) -> Request | None:
        """
        Wait for the request's head, ``patience`` seconds from its first byte, or from now if it is the first.

        ``None``: the connection ended before the request was complete, or stayed silent after another one.

        Raises:
            HTTPError: it is no request that can be served, or it came too late.

        """
        if not first and not self.begun:
            with trio.move_on_after(IDLE_TIMEOUT) as silence:
                await self._receive_more()
            if silence.cancelled_caught or not self.begun:
                return None
        with trio.move_on_after(patience):
            if not await self._receive_head():
                return None
            return self._parse()
        raise HTTPError(TOO_LATE)

    async def _receive_more(self) -> bool:
        """Read once; False at the end of the connection."""
        try:
            data = await self._transport.receive_some(RECEIVE_BYTES)
        except trio.BrokenResourceError:
            return False
        self._head += data
        return bool(data)

    async def _receive_head(self) -> bool:
        """Read until the head is complete; False if the connection ends before."""
        head, seen = self._head, 0
        while (end := head.find(b"\r\n\r\n", max(0, seen - 3))) < 0:
            self._check(seen, len(head))
            seen = len(head)
            if not await self._receive_more():
                return False
        self._check(seen, end + 4)
        return True

    def _check(self, seen: int, length: int) -> None:
        """
        Refuse a head as soon as it can't become a right one.

        ``length`` bytes of it are here, and ``seen`` of those have been checked before.
        """
        head = self._head
        if head and not 0x21 <= head[0] <= 0x7E:
            raise HTTPError(NOT_HTTP)
        if ODD_LINES.search(head, max(0, seen - 1), length):
            raise HTTPError(ODD)
        if length > MAX_LINE_BYTES and head.find(b"\n", 0, MAX_LINE_BYTES) < 0:
            raise HTTPError(LINE_TOO_LONG)
        if length > MAX_HEAD_BYTES:
            raise HTTPError(HEAD_TOO_LARGE)

    def _parse(self) -> Request:
        self._h11.receive_data(bytes(self._head))
        try:
            event = self._h11.next_event()
            assert isinstance(event, h11.Request)
            self._only_head = event.method == b"HEAD"
            found = judge(event)
            if found.has_body:
                self._declared = int(found.header("content-length") or 0)
                found.read = self._read_body
            self._complete = not found.has_body
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # it holds the parser and what was sent, in a reference cycle
            raise HTTPError(_invalid(error)) from None
        found.early = self.rest
        return found

    async def _read_body(self) -> bytes:
        """
        Wait for the whole body, as long as for a head.

        Raises:
            HTTPError: it is larger than a message may be, not valid, or too late.

        """
        largest = self._limits.max_message_size
        too_large = error_response(
            413, f"The body is larger than {largest} bytes, the largest message allowed here."
        )
        if self._declared > largest:
            raise HTTPError(too_large)
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(self._limits.handshake_timeout):
            if self._h11.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
                await self._transport.send_all(self._h11.send(go_on) or b"")
            try:
                while not isinstance(event := self._h11.next_event(), h11.EndOfMessage):
                    if isinstance(event, h11.Data):
                        parts.append(bytes(event.data))
                        size += len(event.data)
                        if size > largest:
                            raise HTTPError(too_large)
                    else:
                        data = await self._transport.receive_some(RECEIVE_BYTES)
                        self._h11.receive_data(bytes(data))
            except h11.RemoteProtocolError as error:
                error.__traceback__ = None  # likewise
                raise HTTPError(_invalid(error)) from None
            except trio.BrokenResourceError as error:
                raise HTTPError(NOT_ALL) from error
            self._complete = True
            return b"".join(parts)
        raise HTTPError(TOO_LATE)

    async def answer(self, answer: Response, *, last: bool = False) -> bool:
        """
        Send the answer, and return whether another exchange may follow it.

        It may not if the answer closes, the client asked for that, a part of the request is unread, or
        this is to be the ``last``.

        Raises:
            trio.BrokenResourceError: the client is gone, or does not take it.

        """
        http = self._h11
        if self._complete and http.their_state is h11.SEND_BODY:
            http.next_event()  # the end of a message without a body; of no use to one that is upgraded
        headers = [("Date", formatdate(usegmt=True)), *answer.headers]
        if answer.status not in BODILESS:
            headers += [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        if last or answer.closes or not self._complete:
            headers.append(("Connection", "close"))
        response = h11.Response(
            status_code=answer.status, headers=headers, reason=HTTPStatus(answer.status).phrase
        )
        data = http.send(response) or b""
        if answer.body and not self._only_head:
            data += http.send(h11.Data(data=answer.body)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        with trio.move_on_after(ANSWER_TIMEOUT):
            await self._transport.send_all(data)
            return http.our_state is h11.DONE and http.their_state is h11.DONE
        raise trio.BrokenResourceError("the client does not take its answer")


def _invalid(error: h11.RemoteProtocolError) -> Response:
    if error.error_status_hint == 431:
        return HEAD_TOO_LARGE
    if error.error_status_hint == 501:
        return error_response(501, "A body may be sent in chunks, and in no other transfer coding.")
    return error_response(400, f"This is not a valid HTTP request: {error}.")
