"""One connection's handshakes (TCP, TLS, WebSocket), as a generator of the events it waits for."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import secrets
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from trioecho.bench.target import Target
from trioecho.protocol.deflate_answer import BadAnswer, keeps_past
from trioecho.system_errors import reason_of

__all__ = ["LATER", "WRITE", "DialError", "Dialled", "Handshake", "Tickets", "said", "shake_hands"]

MAX_HEAD = 2**14
"""The longest answer that is read before its end must have come (16 KiB, what most servers allow)."""

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server mixes with the client's key (RFC 6455, section 1.3)."""

IP_BIND_ADDRESS_NO_PORT = 24
"""
Linux: bind an address now and choose its port when connecting, when it need be free for this server only.
(``socket`` has the name since Python 3.12.)
"""

READ, WRITE, LATER = 1, 2, 3
"""What a handshake may wait for; for ``LATER`` no event comes, it has to try again."""

T = TypeVar("T")

Dialled = tuple[socket.socket, bytes, bool | None]
"""A connected socket, what came after the answer's head, and whether compressed messages refer back to
earlier ones (``None``: there are none)."""

Handshake = Generator[int, None, Dialled]
"""Yields which of ``READ``, ``WRITE`` and ``LATER`` it waits for; returns the connection."""


class DialError(Exception):
    """A connection could not be made; the text is one sentence that says why."""


class Tickets:
    """What the server's TLS gave to come back with. Each connection brings the latest one."""

    __slots__ = ("_latest", "resumed")

    def __init__(self) -> None:
        self._latest: ssl.SSLSession | None = None
        self.resumed = 0
        """Connections whose TLS session was an earlier one's."""

    def wrap(self, target: Target, connection: socket.socket) -> ssl.SSLSocket:
        """Put TLS over a connection that is to resume the session, if there is one."""
        assert target.tls
        return target.tls.wrap_socket(
            connection,
            server_hostname=target.address.host,
            do_handshake_on_connect=False,
            session=self._latest,
        )

    def keep(self, secured: ssl.SSLSocket) -> None:
        """Keep what this connection was given, once something was read from it (as TLS 1.3 has it)."""
        self.resumed += bool(secured.session_reused)
        self._latest = secured.session


def shake_hands(
    connection: socket.socket,
    address: Any,
    target: Target,
    path: str,
    *,
    source: str | None = None,
    tickets: Tickets | None = None,
) -> Handshake:
    """One connection, from TCP to the server's answer; the socket is closed if it fails."""
    try:
        connection.setblocking(False)
        if source is not None:
            _bind(connection, source)
        if not _is_unix(connection):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A Unix socket says at once what is wrong, and refuses a moment's rush with EAGAIN.
        while (problem := connection.connect_ex(address)) == errno.EAGAIN and _is_unix(connection):
            yield LATER
        if problem in (errno.EADDRNOTAVAIL, errno.EAGAIN):
            raise OSError(problem, "no local port is left to connect from (--source adds addresses)")
        if problem not in (0, errno.EINPROGRESS):
            raise OSError(problem, os.strerror(problem))
        yield WRITE
        if problem := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem))
        if target.tls:
            connection = secured = (tickets or Tickets()).wrap(target, connection)
            yield from _until_done(secured.do_handshake)
        key = base64.b64encode(secrets.token_bytes(16))
        connection.send(target.request(path, key))
        head = bytearray()
        while b"\r\n\r\n" not in head:
            data = yield from _until_done(lambda: connection.recv(MAX_HEAD))
            head += data
            if not data or len(head) > MAX_HEAD:
                raise DialError(f"{target} {_no_answer(bytes(head))}")
        answer, _, early = bytes(head).partition(b"\r\n\r\n")
        if tickets and isinstance(connection, ssl.SSLSocket):
            tickets.keep(connection)
        return connection, early, _check(answer, key, target)
    except BaseException:
        connection.close()
        raise


def said(error: OSError) -> str:
    """Return what an error says, for a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    return reason_of(error)


def _is_unix(connection: socket.socket) -> bool:
    return connection.family == getattr(socket, "AF_UNIX", None)


def _bind(connection: socket.socket, source: str) -> None:
    if sys.platform == "linux":
        connection.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    try:
        connection.bind((source, 0))
    except OSError as error:
        raise OSError(error.errno, f"--source {source} cannot be used ({said(error)})") from error


def _until_done(operation: Callable[[], T]) -> Generator[int, None, T]:
    while True:
        try:
            return operation()
        except (BlockingIOError, ssl.SSLWantReadError):
            yield READ
        except ssl.SSLWantWriteError:
            yield WRITE


def _check(answer: bytes, key: bytes, target: Target) -> bool | None:
    """
    Raise unless this is the answer of a WebSocket server to this key (RFC 6455, section 4.1).

    Returns whether compressed messages refer back to earlier ones; ``None``: there are none.
    """
    status, *lines = answer.decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] != ["101"]:
        raise DialError(f"{target} did not open a WebSocket connection; it answered {status[:100]!r}")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    wanted = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest()).decode()
    if headers.get("sec-websocket-accept") != wanted:
        raise DialError(f"{target} answered the handshake with a wrong Sec-WebSocket-Accept")
    extensions = headers.get("sec-websocket-extensions")
    if extensions is None:
        return None
    if not target.compress:
        raise DialError(f"{target} uses an extension that was not offered")
    try:
        return keeps_past([extensions])
    except BadAnswer as error:
        raise DialError(f"{target} {error}") from None


def _no_answer(head: bytes) -> str:
    if not head:
        return "closed the connection without an answer"
    return f"is not a WebSocket server; it answered {head[:40].decode('latin-1')!r}"
