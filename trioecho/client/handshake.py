"""
The opening handshake: the HTTP request and response that make a WebSocket of a stream (RFC 6455, section 4).

Spoken with h11 directly, because a client wants what a WebSocket library does not keep: the status and the
start of the body when it is rejected, and a sentence when what answers is no WebSocket server at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h11
import trio
from wsproto.utilities import generate_accept_token, generate_nonce

from trioecho.client.errors import ConnectFailed, NotWebSocket, Rejected
from trioecho.protocol.deflate_answer import OFFER, BadAnswer, keeps_past
from trioecho.protocol.escape import quote

__all__ = ["Handshake", "exchange", "shake_hands"]

MAX_HEAD = 64 * 1024
"""The longest response head read (bytes): h11 stops there instead of buffering for ever."""

MAX_INTERIM = 20
"""How many interim responses (1xx) are skipped; servers send one or two, if any (RFC 9110, 15.2)."""

MAX_BODY = 4096
"""How much of a rejection's body is kept (bytes); the rest is not waited for."""

BODY_TIMEOUT = 2.0
"""How long a rejection's body is waited for (seconds): its status alone says the most."""

SHOWN_SUBPROTOCOL = 100
"""How much of a subprotocol that was not offered an error quotes (characters)."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Handshake:
    """
    What the server agreed to, and said. ``trailing`` are bytes that already belong to the WebSocket.

    ``keeps_past``: whether compressed messages refer back to earlier ones; ``None``: there are none.
    """

    subprotocol: str | None
    headers: Headers
    trailing: bytes
    keeps_past: bool | None = None


async def shake_hands(
    stream: trio.abc.Stream,
    *,
    where: str,
    host: str,
    resource: str,
    headers: Sequence[tuple[str, str]],
    subprotocols: Sequence[str],
    compress: bool = False,
) -> Handshake:
    """
    Ask for a WebSocket and wait for the answer. ``where`` names the server in sentences.

    With ``compress`` the server is offered to compress what it sends.

    The caller sets the deadline, and closes the stream whatever happens.

    Raises:
        Rejected: another status than 101.
        NotWebSocket: what answers is no WebSocket server.
        ConnectFailed: the connection broke off.

    """
    nonce = generate_nonce()
    request: list[tuple[str, str]] = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", nonce.decode()),
        ("Sec-WebSocket-Version", "13"),
        *([("Sec-WebSocket-Protocol", ", ".join(subprotocols))] if subprotocols else []),
        *([("Sec-WebSocket-Extensions", OFFER)] if compress else []),
        *headers,
    ]
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    status, received, body = await exchange(
        stream,
        http,
        h11.Request(method="GET", target=resource, headers=request),
        where=where,
        what="a WebSocket server",
    )
    if status != 101:
        raise Rejected(where, status, received, body)
    connection = [option.strip().lower() for option in ",".join(_values(received, "connection")).split(",")]
    if (
        [value.lower() for value in _values(received, "upgrade")] != ["websocket"]
        or "upgrade" not in connection
        or _values(received, "sec-websocket-accept") != [generate_accept_token(nonce).decode()]
    ):
        raise NotWebSocket(f"{where} is not a WebSocket server: its handshake does not answer ours")
    chosen = _values(received, "sec-websocket-protocol")
    if len(chosen) > 1 or not set(chosen) <= set(subprotocols):
        shown = quote(", ".join(chosen), SHOWN_SUBPROTOCOL)
        raise NotWebSocket(f"{where} chose the subprotocol {shown!r}, which was not offered")
    keeps = None
    if extensions := _values(received, "sec-websocket-extensions"):
        if not compress:
            raise NotWebSocket(f"{where} chose an extension, and none was offered")
        try:
            keeps = keeps_past(extensions)
        except BadAnswer as error:
            raise NotWebSocket(f"{where} {error}") from None
    return Handshake(chosen[0] if chosen else None, received, http.trailing_data[0], keeps)


def _values(headers: Headers, name: str) -> list[str]:
    """Return the values of all fields of a name; a second one where one must be is an error, not a detail."""
    return [value for field, value in headers if field == name]


async def exchange(
    stream: trio.abc.Stream, http: h11.Connection, request: h11.Request, *, where: str, what: str
) -> tuple[int, Headers, bytes]:
    """
    Send one request, and return the response's status, its headers and the start of its body.

    A body is read only where the answer is a rejection; for it, ``MAX_BODY`` and ``BODY_TIMEOUT`` hold.
    ``where`` names the other side in sentences, ``what`` is what it ought to be.

    Raises:
        NotWebSocket: what came back is not HTTP.
        ConnectFailed: the connection broke off.

    """
    try:
        await stream.send_all((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        for _ in range(MAX_INTERIM + 1):
            event = await _next_event(stream, http)
            if isinstance(event, h11.Response) or getattr(event, "status_code", None) == 101:
                break
        else:
            raise NotWebSocket(f"{where} is not {what}: it sends interim responses without end")
    except h11.RemoteProtocolError:
        unread, ended = http.trailing_data
        if ended and not unread:
            raise ConnectFailed(f"{where} closed the connection without an answer") from None
        raise NotWebSocket(f"{where} is not {what}: what it answers is not HTTP") from None
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        raise ConnectFailed(f"{where} broke the connection off during the handshake") from None
    assert isinstance(event, (h11.Response, h11.InformationalResponse))
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
    granted = event.status_code == 101 or (request.method == b"CONNECT" and 200 <= event.status_code < 300)
    return event.status_code, headers, b"" if granted else await _start_of_body(stream, http)


async def _start_of_body(stream: trio.abc.Stream, http: h11.Connection) -> bytes:
    body = bytearray()
    with trio.move_on_after(BODY_TIMEOUT):
        try:
            while len(body) < MAX_BODY:
                event = await _next_event(stream, http)
                if not isinstance(event, h11.Data):
                    break
                body += event.data
        except (h11.RemoteProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # A body cut short is still the start of a body.
    return bytes(body[:MAX_BODY])


async def _next_event(stream: trio.abc.Stream, http: h11.Connection) -> object:
    while True:
        event = http.next_event()
        if event is not h11.NEED_DATA:
            return event
        http.receive_data(bytes(await stream.receive_some(MAX_HEAD)))
        unread = http.trailing_data[0]
        if http.their_state is h11.SEND_RESPONSE and unread[:5] != b"HTTP/"[: len(unread)]:
            # A server of another protocol may greet first and then wait, as we would for the rest of a head.
            raise h11.RemoteProtocolError("not HTTP")
