"""
A request's body: read as a whole, with a bound on its size, its time, and the work it makes at one go.

A body may come in chunks of one byte, of which one read holds ten thousand: a tenth of a second of parsing.
So it is parsed in slices, and who has more than one slice stands in line with all others that bring much
work (:mod:`trioecho.transport.turns`).
"""

from __future__ import annotations

import h11
import trio

from trioecho.http.parsing import next_event
from trioecho.http.response import HTTPError, error_response
from trioecho.http.trailer import TrailerCheck
from trioecho.memory import Lease, Memory
from trioecho.settings import Settings
from trioecho.transport.turns import Turns

__all__ = ["Body"]

RECEIVE_BYTES = 64 * 1024
"""One read from the network (bytes)."""

COUNTED_BYTES = 4096
"""Less than this is not counted as held: it is what every connection may have under way."""

SLICE_PIECES = 16
"""So many pieces of a body are parsed before others get their turn: a quarter of a millisecond."""

BODY_TOO_LATE = error_response(408, "The body did not arrive in time.")
INCOMPLETE = error_response(400, "The body ended before it was complete.")
ODD_TRAILER = error_response(
    400, "This is not a valid HTTP request: a trailer's lines must end in CRLF, and none may be folded."
)
OVER_MEMORY = error_response(
    503, "The server holds too much for its clients: try again later.", ("Retry-After", "5")
)


class Body:
    """
    The body of the request that ``http`` has parsed the head of.

    ``declared`` is its length, if it is not ``chunked``; ``trailer``, how long one of those may be (bytes).
    What has come of it is counted in ``memory``, and ``turns`` is where it stands in line.
    """

    def __init__(
        self,
        http: h11.Connection,
        transport: trio.abc.Stream,
        settings: Settings,
        *,
        declared: int,
        chunked: bool,
        trailer: int,
        memory: Memory,
        turns: Turns,
    ) -> None:
        self.complete = False
        self._http = http
        self._transport = transport
        self._settings = settings
        self._declared = declared
        self._read = bytearray()
        self._trailer: TrailerCheck | None = None
        if chunked:
            self._trailer = TrailerCheck(trailer + RECEIVE_BYTES)
            self._trailer.add(http.trailing_data[0])
        self._memory = memory
        self._turns = turns
        self._lease: Lease | None = None
        self._reading: trio.CancelScope | None = None
        self._given_up = False

    @property
    def held(self) -> int:
        """What is held of it while more is awaited (bytes)."""
        return 0 if self._lease is None or self._reading is None else self._lease.size

    def give_up(self) -> None:
        """Wait for no more of it, and forget what there is, because too much is held."""
        if self._reading is not None:
            self._given_up = True
            self._read, self._trailer, self._lease = bytearray(), None, None
            self._reading.cancel()

    async def read(self) -> bytes:
        """
        Wait for the whole body, at most ``message_timeout``; a second time it is there at once.

        If cancelled, nothing of it is lost.

        Raises:
            HTTPError: it is larger than a message may be, not valid, or too late.

        """
        timeout = self._settings.message_timeout or float("inf")
        with trio.move_on_after(timeout) as self._reading:
            try:
                if not self.complete and not self._given_up:
                    await self._read_pieces()
            finally:
                self._reading = None
            if not self._given_up:
                return bytes(self._read)
        if self._given_up:
            raise HTTPError(OVER_MEMORY, cause="over-memory")
        raise HTTPError(BODY_TOO_LATE)

    async def _read_pieces(self) -> None:
        """Read the body's pieces until the last."""
        largest = self._settings.max_message_size
        too_large = error_response(
            413, f"The body is larger than {largest} bytes, the largest message allowed here."
        )
        if self._declared > largest:
            raise HTTPError(too_large)
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            await self._send(self._http.send(go_on) or b"")
        pieces = 0
        while not isinstance(event := next_event(self._http), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                self._read += event.data
                if len(self._read) > largest:
                    raise HTTPError(too_large)
                pieces += 1
                if pieces % SLICE_PIECES == 0:
                    await self._turns.take()
            else:
                data = await self._receive()
                if self._trailer is not None:
                    self._trailer.add(data)
                self._http.receive_data(data)
                self._hold(len(data))
        if self._trailer is not None:
            if not self._trailer.is_valid(len(event.headers), len(self._http.trailing_data[0])):
                raise HTTPError(ODD_TRAILER)
            self._trailer = None
        self._hold(0)
        self.complete = True

    def _hold(self, unparsed: int) -> None:
        """Count what has come so far."""
        size = len(self._read) + unparsed + (0 if self._trailer is None else self._trailer.held)
        self._lease = Lease(self._memory, size) if size >= COUNTED_BYTES else None

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
