"""
What a client asks for before it is one: the head of its HTTP request, and our answer if it is no.

The head is read and judged here, within a limit, before trio-websocket sees the connection: some bytes in
it would end that library's reader with an error (a Host with a byte over 0x7F, garbage and a reset). What
trio-websocket gets is a head of our own that holds the client's key and nothing else of the client's.

Floor 1: imports ``limits``.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import h11

from trioecho.limits import MAX_ROOM_NAME_BYTES

__all__ = ["Handshake", "Refusal", "Upgrade"]

MAX_HEAD_BYTES = 16 * 1024
"""The largest request head (bytes); browsers with many cookies stay under 8 KiB."""

VERSION = b"13"
"""The only version of the protocol there is (RFC 6455, 4.1)."""

PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    426: "Upgrade Required",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A client that may become one: its room, its key, and the bytes it sent after the head."""

    room: str
    key: bytes
    early: bytes

    @property
    def head(self) -> bytes:
        """The head that trio-websocket is given in the place of the client's."""
        return (
            b"GET / HTTP/1.1\r\nHost: trioecho\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + self.key + b"\r\n\r\n"
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no: an HTTP status, and one line of text that says why and what to do."""

    status: int
    sentence: str
    headers: tuple[str, ...] = ()

    @property
    def response(self) -> bytes:
        """The whole HTTP response; the connection is closed after it."""
        body = f"{self.sentence}\n".encode()
        lines = [
            f"HTTP/1.1 {self.status} {PHRASES[self.status]}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *self.headers,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


NOT_WEBSOCKET = Refusal(
    426,
    "This is a WebSocket server: connect with a WebSocket client, for example `trioecho client URL`.",
    ("Upgrade: websocket",),
)
HEAD_TOO_LARGE = Refusal(431, f"The request head is larger than {MAX_HEAD_BYTES} bytes.")
TOO_LATE = Refusal(408, "The request did not arrive in time.")
TOO_MANY_CONNECTIONS = Refusal(503, "There are too many connections: try again later.", ("Retry-After: 5",))
TOO_MANY_ROOMS = Refusal(503, "There are too many rooms: try again later.", ("Retry-After: 5",))
SHUTTING_DOWN = Refusal(503, "The server is shutting down: try again later.", ("Retry-After: 5",))


class Handshake:
    """One request head, as it arrives."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._received = 0

    def feed(self, data: bytes | bytearray) -> Upgrade | Refusal | None:
        """Take the next bytes (not empty); None as long as the head is not complete."""
        self._received += len(data)
        self._h11.receive_data(bytes(data))
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                return HEAD_TOO_LARGE
            return Refusal(400, f"This is not a valid HTTP request: {error}.")
        if not isinstance(event, h11.Request):
            return None
        early = self._h11.trailing_data[0]
        # h11 holds only what is incomplete against its limit, and one read may bring more than that.
        if self._received - len(early) > MAX_HEAD_BYTES:
            return HEAD_TOO_LARGE
        return _judge(event, early)


def _judge(request: h11.Request, early: bytes) -> Upgrade | Refusal:
    """Hold a request against RFC 6455, section 4.2.1."""
    headers: dict[bytes, list[bytes]] = {}
    for name, value in request.headers:
        headers.setdefault(name, []).append(value)
    if b"websocket" not in _tokens(headers, b"upgrade") or b"upgrade" not in _tokens(headers, b"connection"):
        return NOT_WEBSOCKET
    if request.method != b"GET" or request.http_version < b"1.1":
        return Refusal(400, "A WebSocket handshake is a GET of HTTP/1.1.")
    if b"content-length" in headers or b"transfer-encoding" in headers:
        return Refusal(400, "A WebSocket handshake has no body.")
    if headers.get(b"sec-websocket-version") != [VERSION]:
        return Refusal(426, "Only version 13 of WebSocket is spoken here.", ("Sec-WebSocket-Version: 13",))
    key = headers.get(b"sec-websocket-key", [])
    if len(key) != 1 or not _is_key(key[0]):
        return Refusal(400, "Sec-WebSocket-Key must be 16 bytes in base64.")
    if not headers[b"host"][0].isascii():
        return Refusal(400, "The Host header must be ASCII.")
    room = _room_name(request.target)
    return Upgrade(room, key[0], early) if isinstance(room, str) else room


def _tokens(headers: dict[bytes, list[bytes]], name: bytes) -> list[bytes]:
    return [token.strip().lower() for value in headers.get(name, []) for token in value.split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False


def _room_name(target: bytes) -> str | Refusal:
    """Return the room that a request's target names: its path, percent-decoded, without the query."""
    path = target.partition(b"?")[0]
    scheme, separator, rest = path.partition(b"://")
    if separator and scheme.lower() in (b"ws", b"wss", b"http", b"https"):  # absolute form, as to a proxy
        path = b"/" + rest.partition(b"/")[2]
    if not path.startswith(b"/") or b"#" in path:
        return Refusal(400, "The address must be a path, for example /news.")
    name = unquote_to_bytes(path)
    if len(name) > MAX_ROOM_NAME_BYTES:
        return Refusal(414, f"A room's name has at most {MAX_ROOM_NAME_BYTES} bytes.")
    try:
        return name.decode()
    except UnicodeDecodeError:
        return Refusal(400, "A room's name must be UTF-8, percent-encoded.")
