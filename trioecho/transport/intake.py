"""
The intake of a listener: all connections that wait, in one go.

trio accepts one connection in each pass of its scheduler, and makes three objects of it. When ten thousand
clients come back at once, that is ten thousand passes before the last of them is even known.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import suppress

import trio

from trioecho.transport.socket_stream import PlainSocket, unlayered

__all__ = ["Intake"]

AT_ONCE = 16
"""Connections that are accepted in one pass: together less than a millisecond of work."""

THEIRS = {
    getattr(errno, name, 0)
    for name in (
        "ECONNABORTED",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETDOWN",
        "ENETUNREACH",
        "ENONET",
        "ENOPROTOOPT",
        "EOPNOTSUPP",
        "EPERM",
        "EPROTO",
    )
}
"""What accept(2) reports of one connection that failed before it was accepted: the next may be right."""

NOT_SENT_BYTES = 2**14
"""From how much on that it has not sent the kernel counts as full (bytes): as in trio's own streams."""

INHERITED = sys.platform == "linux"
"""Whether accepted sockets have the options of the listener's."""


class Intake:
    """Takes connections from ``listener``, and where that is a plain socket, many at a time."""

    def __init__(self, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        self._listener = listener
        self._socket: socket.socket | None = None
        if os.name == "posix" and isinstance(listener, trio.SocketListener):
            theirs = listener.socket
            self._socket = socket.socket(theirs.family, theirs.type, theirs.proto, fileno=theirs.fileno())
            self._socket.setblocking(False)
            _set_options(self._socket)

    async def accept(self) -> list[trio.abc.Stream]:
        """
        Wait for a connection, and take those that are there.

        Raises:
            OSError: the system has none to give just now.
            trio.ClosedResourceError: the listener was closed.

        If cancelled, none was taken.

        """
        listener, ours = self._listener, self._socket
        if ours is None or not isinstance(listener, trio.SocketListener):
            return [unlayered(await listener.accept())]
        while True:
            if listener.socket.fileno() != ours.fileno():
                raise trio.ClosedResourceError("the listener was closed")
            await trio.lowlevel.wait_readable(ours.fileno())
            if accepted := self._take(ours):
                return accepted

    def _take(self, listening: socket.socket) -> list[trio.abc.Stream]:
        accepted: list[trio.abc.Stream] = []
        while len(accepted) < AT_ONCE:
            try:
                connected, _ = listening.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in THEIRS:
                    continue
                if accepted:
                    break  # it is said again the next time
                raise
            if not INHERITED:
                _set_options(connected)
            accepted.append(PlainSocket(connected))
        return accepted

    def release(self) -> None:
        """Leave the socket to the listener, whose it is."""
        if self._socket is not None:
            self._socket.detach()


def _set_options(connected: socket.socket) -> None:
    """Set what trio sets for a stream: small messages go out at once, and the kernel queues no megabytes."""
    if connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        with suppress(OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
