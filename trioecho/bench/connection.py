"""One connection's writing side: a publisher's messages, with control frames between them."""

from __future__ import annotations

import socket
import ssl

from trioecho.bench.stream import Stream
from trioecho.protocol.frames import FIN, Opcode, masked

__all__ = ["WOULD_BLOCK", "LoadConnection"]

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""What a non-blocking socket raises, plain or TLS, when it must be waited for."""

LARGEST_WRITE = 2**18
"""The most bytes offered to the kernel at once (256 KiB)."""

MAX_CONTROLS = 2**16
"""Bytes of control frames that may wait for a server that takes none; further pings are not answered."""

MASK = b"\x5a\xa5\x3c\xc3"
"""For control frames. A mask protects proxies from scripts in browsers; here only its presence matters."""


class LoadConnection:
    """
    An open connection, and its publisher's ``stream`` if it has one.

    Nothing here waits: what the kernel does not take is kept for the next :meth:`flush`, and ``blocked`` is
    set.
    """

    __slots__ = ("blocked", "controls", "outgoing", "socket", "stream", "written")

    def __init__(self, connected: socket.socket, stream: Stream | None) -> None:
        self.socket = connected
        self.stream = stream
        self.outgoing = memoryview(stream.messages.outgoing if stream else b"")
        self.written = 0
        """Bytes of the stream that the kernel has taken."""
        self.controls = b""
        """Control frames that wait for the end of the message before them."""
        self.blocked = False

    def publish(self, count: int, due: int) -> None:
        """
        Send the next ``count`` messages, which were due at ``due``.

        Raises:
            OSError: the connection is gone.

        """
        assert self.stream is not None
        self.stream.send(count, due)
        self.flush()

    def answer(self, ping: bytes) -> None:
        """
        Answer a ping, unless too many answers wait already.

        Raises:
            OSError: the connection is gone.

        """
        if len(self.controls) < MAX_CONTROLS:
            self.control(Opcode.PONG, ping)

    def control(self, opcode: int, payload: bytes) -> None:
        """
        Send a control frame, at the next boundary between messages.

        Raises:
            OSError: the connection is gone.

        """
        self.controls += masked(FIN | opcode, payload, MASK)
        self.flush()

    def flush(self) -> None:
        """
        Give the kernel what it will take.

        Raises:
            OSError: the connection is gone.

        """
        self.blocked = False
        try:
            while True:
                if self.controls and not self._within_message():
                    self.controls = self.controls[self.socket.send(self.controls) :]
                elif owed := self._owed():
                    at = self.written % len(self.outgoing)
                    self.written += self.socket.send(self.outgoing[at : at + min(owed, LARGEST_WRITE)])
                else:
                    return
        except WOULD_BLOCK:
            self.blocked = True

    @property
    def whole_messages(self) -> int:
        """How many messages the kernel has taken completely."""
        return self.written // self.stream.messages.outgoing_length if self.stream else 0

    def _owed(self) -> int:
        return self.stream.sent * self.stream.messages.outgoing_length - self.written if self.stream else 0

    def _within_message(self) -> bool:
        return self.stream is not None and self.written % self.stream.messages.outgoing_length > 0
