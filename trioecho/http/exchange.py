"""
One exchange: a request read from a connection, and the response written to it (RFC 9112, through h11).

Stricter than h11 where two readers might understand one request differently: a bare CR or LF, a folded
header and a length that is given twice are rejected. After a request that was rejected nothing is read any
more, so what follows it can't be taken for a request.

No error is chained to another here: h11's hold the frames of its parser, and with them all that the client
has sent, in a reference cycle that only the collector would find.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus

import h11
import trio

from trioecho.http.request import Request, parse_request
from trioecho.http.response import HTTPError, Response, error_response
from trioecho.http.trailer import TrailerCheck
from trioecho.protocol.escape import quote
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
keeps an idle connection to us, so that nginx hangs up first, and never with a request under way."""

RESPONSE_TIMEOUT = 30.0
"""How long a client may take to read a response (seconds)."""

EVENTS_A_TURN = 100
"""How many pieces of a body are parsed before other tasks get their turn: one read can hold 10,000 chunks."""

LENGTHLESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
"""Responses without a body that also have no length and type (RFC 9110, 8.6)."""

ODD_LINES = re.compile(rb"\r[^\n]|[^\r]\n|\n[ \t]|\x00")
"""What no request head may hold: a bare CR, a bare LF, a folded header, a zero byte."""

QUOTED = re.compile(r":? ?(?:bytearray\()?b['\"].*", re.DOTALL)
"""Where h11's error messages quote the request: it may be a token, and it is as long as the client likes."""

MAX_QUOTE = 100
"""How much of what h11 says is repeated in a response (characters)."""

TOO_LATE = error_response(408, "The request did not arrive in time.")
NOT_HTTP = error_response(400, "This is not a valid HTTP request: it does not begin like one.")
ODD = error_response(
    400, "This is not a valid HTTP request: its lines must end in CRLF, and none may be folded."
)
ODD_TRAILER = error_response(
    400, "This is not a valid HTTP request: a trailer's lines must end in CRLF, and none may be folded."
)
LINE_TOO_LONG = error_response(414, f"The request line is longer than {MAX_LINE_BYTES} bytes.")
HEAD_TOO_LARGE = error_response(431, f"The request head is larger than {MAX_HEAD_BYTES} bytes.")
INCOMPLETE = error_response(400, "The body ended before it was complete.")


class Exchange:
    """One request and its response. ``early`` is what has been read of the request already."""

    def __init__(self, transport: trio.abc.Stream, limits: Settings, early: bytes = b"") -> None:
        self._transport = transport
        self._limits = limits
        self._head = bytearray(early)
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._only_head = self._complete = False
        self._declared = 0
        # The body: what has been read of it, and what watches for the end of one that comes in chunks.
        self._body = bytearray()
        self._trailer: TrailerCheck | None = None

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
            HTTPError: it is not a valid request, or it came too late.

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
        self._head.clear()
        event = self._next_event()
        assert isinstance(event, h11.Request)
        self._only_head = event.method == b"HEAD"
        request = parse_request(event)
        if request.has_body:
            self._declared = int(request.header("content-length") or 0)
            if request.header("transfer-encoding") is not None:
                self._trailer = TrailerCheck(MAX_HEAD_BYTES + RECEIVE_BYTES)
                self._trailer.add(self.rest)
            request.read = self._read_body
        self._complete = not request.has_body
        request.early = self.rest
        return request

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """
        Return what h11 finds next.

        Raises:
            HTTPError: that is not valid.

        """
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            error.__traceback__ = None  # h11 raises an error from a frame that holds it: a cycle
            response = _invalid(error)
        raise HTTPError(response)

    async def _read_body(self) -> bytes:
        """
        Wait for the whole body, as long as for a head; a second time it is there at once.

        If cancelled, nothing of it is lost.

        Raises:
            HTTPError: it is larger than a message may be, not valid, or too late.

        """
        with trio.move_on_after(self._limits.handshake_timeout):
            if not self._complete:
                await self._read_pieces()
            return bytes(self._body)
        raise HTTPError(TOO_LATE)

    async def _read_pieces(self) -> None:
        """Read the body's pieces until the last."""
        largest = self._limits.max_message_size
        too_large = error_response(
            413, f"The body is larger than {largest} bytes, the largest message allowed here."
        )
        if self._declared > largest:
            raise HTTPError(too_large)
        if self._h11.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            await self._send(self._h11.send(go_on) or b"")
        events = 0
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            events += 1
            if isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > largest:
                    raise HTTPError(too_large)
                if events % EVENTS_A_TURN == 0:
                    await trio.lowlevel.checkpoint()
            else:
                data = await self._receive()
                if self._trailer is not None:
                    self._trailer.add(data)
                self._h11.receive_data(data)
        if self._trailer is not None and not self._trailer.is_valid(len(event.headers), len(self.rest)):
            raise HTTPError(ODD_TRAILER)
        self._complete = True

    async def _receive(self) -> bytes:
        """Read some of the body; nothing at the end of the connection, which h11 then complains about."""
        try:
            return bytes(await self._transport.receive_some(RECEIVE_BYTES))
        except trio.BrokenResourceError:
            pass
        raise HTTPError(INCOMPLETE)

    async def _send(self, data: bytes) -> None:
        """Ask for the body."""
        try:
            await self._transport.send_all(data)
            return
        except trio.BrokenResourceError:
            pass
        raise HTTPError(INCOMPLETE)

    async def answer(self, response: Response, *, last: bool = False) -> bool:
        """
        Send the response, and return whether another exchange may follow it.

        It may not if the response closes, the client asked for that, a part of the request is unread, or
        this is to be the ``last``.

        Raises:
            trio.BrokenResourceError: the client is gone, or does not read it.

        """
        http = self._h11
        if self._complete and http.their_state is h11.SEND_BODY:
            http.next_event()  # the end of a request without a body; an upgrade must not take this step
        headers = [("Date", formatdate(usegmt=True)), *response.headers]
        if response.status not in LENGTHLESS:
            headers += [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
        if last or response.closes or not self._complete:
            headers.append(("Connection", "close"))
        head = h11.Response(
            status_code=response.status, headers=headers, reason=HTTPStatus(response.status).phrase
        )
        data = http.send(head) or b""
        if response.body and not self._only_head:
            data += http.send(h11.Data(data=response.body)) or b""
        data += http.send(h11.EndOfMessage()) or b""
        with trio.move_on_after(RESPONSE_TIMEOUT):
            await self._transport.send_all(data)
            return http.our_state is h11.DONE and http.their_state is h11.DONE
        raise trio.BrokenResourceError("the client does not read its response")


def _invalid(error: h11.RemoteProtocolError) -> Response:
    if error.error_status_hint == 431:
        return HEAD_TOO_LARGE
    if error.error_status_hint == 501:
        return error_response(501, "A body may be sent in chunks, and in no other transfer coding.")
    why = quote(QUOTED.sub("", str(error)), MAX_QUOTE)
    return error_response(400, f"This is not a valid HTTP request: {why}.")
