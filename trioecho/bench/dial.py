"""Connecting: many handshakes (TCP, TLS, WebSocket) at once, each a generator of the events it waits for."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import secrets
import selectors
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, TypeVar

from trioecho.bench.target import Target

__all__ = ["DialError", "dial_all"]

AT_ONCE = 100
"""Handshakes under way at one time: enough to keep a server busy, less than any listener's backlog."""

TIMEOUT = 20.0
"""Seconds that one handshake may take until the run gives up."""

MAX_HEAD = 2**14
"""The longest answer that is read before its end must have come (16 KiB, what most servers allow)."""

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a server mixes with the client's key (RFC 6455, section 1.3)."""

T = TypeVar("T")

Dialled = tuple[socket.socket, bytes]
"""A connected socket, and what came after the answer's head."""

Handshake = Generator[int, None, Dialled]
"""Yields the events it waits for; returns the connection."""


class DialError(Exception):
    """A connection could not be made; the text is one sentence that says why."""


def dial_all(target: Target, paths: Iterable[str]) -> Iterator[Dialled]:
    """
    Connect once for each path; yields the connections in the order of the paths.

    The first is made alone: it finds out which of the host's addresses answers.

    Raises:
        DialError: the server refused, is not a WebSocket server, or took longer than ``TIMEOUT``.

    """
    pending = iter(paths)
    first = next(pending)
    try:
        addresses = target.addresses()
    except OSError as error:
        raise DialError(f"the name {target.address.host} is not known") from error
    for family, address in addresses:
        try:
            yield from _drive(target, family, address, iter([first]))
            break
        except OSError as error:
            problem = error
    else:
        raise DialError(f"cannot connect to {target}: {_said(problem)}") from problem
    try:
        yield from _drive(target, family, address, pending)
    except OSError as error:
        raise DialError(f"{target} took some connections, then one failed: {_said(error)}") from error


def _drive(target: Target, family: int, address: Any, paths: Iterator[str]) -> Iterator[Dialled]:
    ready: dict[int, Dialled] = {}
    under_way: dict[int, tuple[int, Handshake, float]] = {}
    asked = given = 0
    with selectors.DefaultSelector() as selector:
        try:
            while True:
                while len(under_way) < AT_ONCE and (path := next(paths, None)) is not None:
                    connection = socket.socket(family)
                    handshake = _handshake(connection, address, target, path)
                    # Registered by number: the TLS layer puts another object over the same descriptor.
                    selector.register(connection.fileno(), next(handshake))
                    under_way[connection.fileno()] = (asked, handshake, time.monotonic() + TIMEOUT)
                    asked += 1
                if not under_way:
                    return
                # The oldest comes first: a server that sends its answer byte by byte gains nothing by it.
                left = next(iter(under_way.values()))[2] - time.monotonic()
                events = selector.select(max(left, 0))
                if left <= 0 or not events:
                    raise DialError(f"{target} left {len(under_way)} handshakes waiting for {TIMEOUT:g} s")
                for key, _ in events:
                    place, handshake, _ = under_way[key.fd]
                    try:
                        awaited = next(handshake)
                        if awaited != key.events:
                            selector.modify(key.fd, awaited)
                    except StopIteration as finished:
                        selector.unregister(key.fd)
                        del under_way[key.fd]
                        ready[place] = finished.value
                while given in ready:
                    yield ready.pop(given)
                    given += 1
        finally:
            for _, handshake, _ in under_way.values():
                handshake.close()
            for connection, _ in ready.values():
                connection.close()


def _handshake(connection: socket.socket, address: Any, target: Target, path: str) -> Handshake:
    """One connection, from TCP to the server's answer; the socket is closed if it fails."""
    try:
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A Unix socket says at once what is wrong, and refuses a moment's rush with EAGAIN.
        while (problem := connection.connect_ex(address)) == errno.EAGAIN:
            yield selectors.EVENT_WRITE
        if problem not in (0, errno.EINPROGRESS):
            raise OSError(problem, os.strerror(problem))
        yield selectors.EVENT_WRITE
        if problem := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(problem, os.strerror(problem))
        if target.tls:
            connection = secured = target.tls.wrap_socket(
                connection, server_hostname=target.address.host, do_handshake_on_connect=False
            )
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
        _check(answer, key, target)
        return connection, early
    except BaseException:
        connection.close()
        raise


def _until_done(operation: Callable[[], T]) -> Generator[int, None, T]:
    while True:
        try:
            return operation()
        except (BlockingIOError, ssl.SSLWantReadError):
            yield selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            yield selectors.EVENT_WRITE


def _check(answer: bytes, key: bytes, target: Target) -> None:
    """Raise unless this is the answer of a WebSocket server to this key (RFC 6455, section 4.1)."""
    status, *lines = answer.decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] != ["101"]:
        raise DialError(f"{target} did not open a WebSocket connection; it answered {status[:100]!r}")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    wanted = base64.b64encode(hashlib.sha1(key + ACCEPT_GUID).digest()).decode()
    if headers.get("sec-websocket-accept") != wanted:
        raise DialError(f"{target} answered the handshake with a wrong Sec-WebSocket-Accept")
    if "sec-websocket-extensions" in headers:
        raise DialError(f"{target} uses an extension that was not offered")


def _no_answer(head: bytes) -> str:
    if not head:
        return "closed the connection without an answer"
    return f"is not a WebSocket server; it answered {head[:40].decode('latin-1')!r}"


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error})"
    return error.strerror or str(error)
