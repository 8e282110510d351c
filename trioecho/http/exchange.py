"""
One exchange: a request read from a connection, and the response written to it (RFC 9112, through h11).

Stricter than h11 where two readers might understand one request differently: a bare CR or LF, a folded
header and a length that is given twice are rejected. After a request that was rejected nothing is read any
more, so what follows it can't be taken for a request.

No error is chained to another here: h11's hold the frames of its parser, and with them all that the client
has sent, in a reference cycle that only the collector would find.
"""

from __future__ import annotations

import math
import re
from contextlib import aclosing
from http import HTTPStatus

import h11
import trio

from trioecho.disconnect import OVER_MEMORY
from trioecho.http.body import Body
from trioecho.http.parsing import HEAD_TOO_LARGE, MAX_HEAD_BYTES, next_event
from trioecho.http.request import Request, parse_request
from trioecho.http.response import HTTPError, Response, StreamedResponse, Unread, error_response, framed
from trioecho.http.upgrade_head import parse_upgrade_head
from trioecho.memory import Lease, Memory
from trioecho.settings import Settings
from trioecho.transport.turns import Turns

__all__ = ["TOO_LATE", "Exchange"]

MAX_LINE_BYTES = 8 * 1024
"""The longest request line (bytes), which RFC 9112 (3) asks for: what is longer is answered 414, not 431."""

RECEIVE_BYTES = 64 * 1024
"""One read from the network (bytes)."""

IDLE_TIMEOUT = 75.0
"""How long a connection may stay silent between two requests (seconds). Longer than the 60 s for which nginx
keeps an idle connection to us, so that nginx hangs up first, and never with a request under way."""

RESPONSE_TIMEOUT = 30.0
"""How long a client may take to read a response (seconds)."""

SENT_BYTES = 64 * 1024
"""So much of a response is handed over at once (bytes)."""

COUNTED_BYTES = 4096
"""Of a response less than this is not counted as held: it is what every connection may have under way."""

ODD_LINES = re.compile(rb"\r[^\n]|[^\r]\n|\n[ \t]|\x00")
"""What no request head may hold: a bare CR, a bare LF, a folded header, a zero byte."""

TOO_LATE = error_response(408, "The request did not arrive in time.")
NOT_HTTP = error_response(400, "This is not a valid HTTP request: it does not begin like one.")
ODD = error_response(
    400, "This is not a valid HTTP request: its lines must end in CRLF, and none may be folded."
)
LINE_TOO_LONG = error_response(414, f"The request line is longer than {MAX_LINE_BYTES} bytes.")


class Exchange:
    """
    One request and its response.

    ``early`` is what has been read of the request already. What comes is counted in ``memory``. In ``turns``
    a request that has arrived stands in line, if it isn't alone, and so does a body that makes much work.
    """

    def __init__(
        self,
        transport: trio.abc.Stream,
        settings: Settings,
        early: bytes = b"",
        *,
        memory: Memory | None = None,
        turns: Turns | None = None,
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._memory = memory or Memory()
        self._turns = turns or Turns()
        self._head = bytearray(early)
        # Read by h11 only if there is to be an ordinary response.
        self._handshake: bytes | None = None
        self._made: h11.Connection | None = None
        self._only_head = self._bodiless = False
        self._body: Body | None = None
        # Of the response, while it is sent.
        self._sending: trio.CancelScope | None = None
        self._lease: Lease | None = None
        self._given_up = False

    @property
    def begun(self) -> bool:
        """Whether a byte of the request is there."""
        return bool(self._head)

    @property
    def rest(self) -> bytes:
        """What came after the request."""
        return self._h11.trailing_data[0]

    @property
    def _h11(self) -> h11.Connection:
        if self._made is None:
            self._made = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
            if self._handshake is not None:
                self._made.receive_data(self._handshake)
                next_event(self._made)
                self._handshake = None
        return self._made

    @property
    def held(self) -> int:
        """What is held of a body of which more is awaited, or of a response that is not read (bytes)."""
        held = 0 if self._body is None else self._body.held
        return held if self._lease is None else held + self._lease.size

    def give_up(self) -> None:
        """
        Wait for the client no longer, because too much is held.

        Reading a body then fails with a 503, and sending a response that is not read is ended.
        """
        if self._body is not None:
            self._body.give_up()
        if self._lease is not None and self._sending is not None:
            self._given_up, self._lease = True, None  # it is let go in the next pass
            self._sending.cancel()

    async def receive(
        self, scope: trio.CancelScope, patience: float, *, first: bool = True
    ) -> Request | None:
        """
        Wait for the request's head, ``patience`` seconds from its first byte, or from now if it is the first.

        ``scope`` is around this call, and its deadline is set here: one scope serves all that a request may
        wait for, because each costs as much as parsing a header. If it is cancelled before the request has
        :attr:`begun`, the connection was silent after another request.

        ``None``: the connection ended before the request was complete.

        Raises:
            HTTPError: it is not a valid request.

        """
        if not first and not self.begun:
            scope.deadline = trio.current_time() + IDLE_TIMEOUT
            await self._receive_more()
            if not self.begun:
                return None
        scope.deadline = trio.current_time() + patience
        end = await self._receive_head()
        if end is None:
            return None
        scope.deadline = math.inf
        await self._turns.take_if_many()
        head = bytes(self._head)
        self._head.clear()
        return self._parse_handshake(head, end) or self._parse(head)

    async def _receive_more(self) -> bool:
        """Read once; False at the end of the connection."""
        try:
            data = await self._transport.receive_some(RECEIVE_BYTES)
        except trio.BrokenResourceError:
            return False
        self._head += data
        return bool(data)

    async def _receive_head(self) -> int | None:
        """Read until the head is complete, and say where it ends; ``None`` if the connection ends before."""
        head, seen = self._head, 0
        while (end := head.find(b"\r\n\r\n", max(0, seen - 3))) < 0:
            self._check(seen, len(head))
            seen = len(head)
            if not await self._receive_more():
                return None
        self._check(seen, end + 4)
        return end + 4

    def _check(self, seen: int, length: int) -> None:
        """
        Refuse a head as soon as it can't become a right one.

        ``length`` bytes of it are here, and ``seen`` of those have been checked before.
        """
        head = self._head
        if head and not 0x21 <= head[0] <= 0x7E:
            raise HTTPError(NOT_HTTP)
        # Sizes first: to search 64 KiB takes as long as all the rest of a request.
        if length > MAX_LINE_BYTES and head.find(b"\n", 0, MAX_LINE_BYTES) < 0:
            raise HTTPError(LINE_TOO_LONG)
        if length > MAX_HEAD_BYTES:
            raise HTTPError(HEAD_TOO_LARGE)
        if ODD_LINES.search(head, max(0, seen - 1), length):
            raise HTTPError(ODD)

    def _parse_handshake(self, head: bytes, end: int) -> Request | None:
        self._handshake = head
        request = parse_upgrade_head(head[:end])
        if request is None:
            self._handshake = None
        else:
            self._bodiless, request.early = True, head[end:]
        return request

    def _parse(self, head: bytes) -> Request:
        self._h11.receive_data(head)
        event = next_event(self._h11)
        assert isinstance(event, h11.Request)
        self._only_head = event.method == b"HEAD"
        request = parse_request(event)
        if request.has_body:
            self._body = Body(
                self._h11,
                self._transport,
                self._settings,
                declared=int(request.header("content-length") or 0),
                chunked=request.header("transfer-encoding") is not None,
                trailer=MAX_HEAD_BYTES,
                memory=self._memory,
                turns=self._turns,
            )
            request.read = self._body.read
        self._bodiless = not request.has_body
        request.early = self.rest
        return request

    async def answer(self, response: Response | StreamedResponse, *, last: bool = False) -> bool:
        """
        Send the response, and return whether another exchange may follow it.

        It may not if the response closes, the client asked for that, a part of the request is unread, or
        this is to be the ``last``. What the client does not take at once is counted as held.

        Raises:
            trio.BrokenResourceError: the client is gone.
            Unread: it does not read the response in time, or too much is held.

        """
        http = self._h11
        complete = self._bodiless if self._body is None else self._body.complete
        if complete and http.their_state is h11.SEND_BODY:
            http.next_event()  # the end of a request without a body; an upgrade must not take this step
        head = h11.Response(
            status_code=response.status,
            headers=framed(response, closes=last or response.closes or not complete),
            reason=HTTPStatus(response.status).phrase,
        )
        with trio.move_on_after(RESPONSE_TIMEOUT) as self._sending:
            if isinstance(response, StreamedResponse):
                await self._send_pieces(head, response)
            else:
                data = http.send(head) or b""
                body = response.body if not self._only_head else b""
                if body:
                    body = http.send(h11.Data(data=body)) or b""
                await self._send(data, body, http.send(h11.EndOfMessage()) or b"")
            self._sending = None
            return http.our_state is h11.DONE and http.their_state is h11.DONE
        if self._given_up:
            raise Unread(OVER_MEMORY.name, OVER_MEMORY.reason)
        raise Unread("response-timeout", f"did not read its response in {RESPONSE_TIMEOUT:g} s")

    async def _send_pieces(self, head: h11.Response, response: StreamedResponse) -> None:
        """Send a body that is made meanwhile."""
        http = self._h11
        async with aclosing(response.pieces) as pieces:
            data = http.send(head) or b""
            if not self._only_head:
                async for piece in pieces:
                    await self._send(data + (http.send(h11.Data(data=piece)) or b""))
                    data = b""
        await self._send(data + (http.send(h11.EndOfMessage()) or b""))

    async def _send(self, *parts: bytes) -> None:
        """Send bytes one after another; the large ones are not copied, because others may hold them too."""
        size = sum(map(len, parts))
        if size >= COUNTED_BYTES:
            self._lease = Lease(self._memory, size)
        if size < SENT_BYTES:
            parts = (b"".join(parts),)
        for part in parts:
            for at in range(0, len(part), SENT_BYTES):
                await self._transport.send_all(memoryview(part)[at : at + SENT_BYTES])
        self._lease = None
