"""
A plain socket: a connection of POSIX without layers between us and the kernel.

trio's own stream keeps four objects a connection and makes several calls for each read; here it is one
object, and :attr:`PlainSocket.send` is the system call itself. Waiting is still done with trio.
"""

from __future__ import annotations

import operator
import os
import socket
from collections.abc import Callable
from contextlib import suppress

import trio

__all__ = ["PlainSocket", "received_already", "unlayered"]

RECEIVE_BYTES = 64 * 1024
"""One read takes at most this much (bytes), unless it is told."""

CLOSED = "the connection was closed here"

Buffer = bytes | bytearray | memoryview


class PlainSocket(trio.abc.HalfCloseableStream):
    """
    A connected socket that never blocks, as a stream. One task may read and another write.

    Attributes:
        socket: the socket. Its file descriptor is not to be kept: a number kept may by then belong to
            another client.
        send: hand bytes to the kernel and return how many it took, without waiting; raises ``OSError``,
            ``BlockingIOError`` when it takes none just now.

    """

    __slots__ = ("_ended", "send", "socket")

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.socket = connected
        self.send: Callable[[Buffer], int] = connected.send
        self._ended = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """
        Wait for bytes, at most ``max_bytes``, and take them; ``b""`` at the end of the connection.

        Raises:
            trio.BrokenResourceError: the connection is gone.
            trio.ClosedResourceError: it was closed here.
            trio.BusyResourceError: another task reads.

        If cancelled, nothing was taken.

        """
        if max_bytes is None:
            max_bytes = RECEIVE_BYTES
        elif operator.index(max_bytes) < 1:
            raise ValueError("max_bytes is at least 1")
        while True:
            try:
                await trio.lowlevel.wait_readable(self._descriptor())
                return self.socket.recv(max_bytes)
            except BlockingIOError:
                continue  # it was not for us after all
            except OSError as error:
                raise self._failure(error) from error

    async def send_all(self, data: Buffer) -> None:
        """
        Send all of ``data``; raises as :meth:`receive_some` does.

        If cancelled, a part of it may have been sent.
        """
        await trio.lowlevel.checkpoint()
        if self._ended:
            raise trio.ClosedResourceError("the end has been sent")
        while True:
            try:
                sent = self.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise self._failure(error) from error
            if sent == len(data):
                return
            data = memoryview(data)[sent:]
            await self.wait_send_all_might_not_block()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel may take more; raises as :meth:`receive_some` does."""
        try:
            await trio.lowlevel.wait_writable(self._descriptor())
        except OSError as error:
            raise self._failure(error) from error

    async def send_eof(self) -> None:
        """
        Tell the peer that no more comes; raises as :meth:`receive_some` does.

        Unlike with trio's own stream, another task may be waiting to send: it fails, when it is closed at
        the latest.
        """
        await trio.lowlevel.checkpoint()
        if self._ended:
            return
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise self._failure(error) from error
        self._ended = True

    def close(self) -> None:
        """Close it; whoever waits for it is woken with ``ClosedResourceError``. Closing twice is harmless."""
        if self.socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()

    async def aclose(self) -> None:
        """Do as :meth:`close`; a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def _descriptor(self) -> int:
        """Return the socket's descriptor, for one wait: trio would wait for -1 as well, and never end."""
        number = self.socket.fileno()
        if number < 0:
            raise trio.ClosedResourceError(CLOSED)
        return number

    def _failure(self, error: OSError) -> Exception:
        if self.socket.fileno() < 0:
            return trio.ClosedResourceError(CLOSED)
        return trio.BrokenResourceError(f"the connection is gone: {error}")


def received_already(stream: trio.abc.Stream) -> bytes:
    """
    Take the bytes that are there, without waiting; ``b""``: none, or the connection has ended.

    A client's first request has mostly come by the time it is looked for, and waiting for what is there is a
    trip through the scheduler.
    """
    if isinstance(stream, PlainSocket):
        with suppress(OSError):
            return stream.socket.recv(RECEIVE_BYTES)
    return b""


def unlayered(stream: trio.abc.Stream) -> trio.abc.Stream:
    """
    Take the socket out of a stream of trio's; ``stream`` is of no use any more then.

    Anything else (TLS, a stream in memory) is returned as it is, and so is every stream on Windows, where
    trio's own is the only way to wait.
    """
    if os.name != "posix" or not isinstance(stream, trio.SocketStream):
        return stream
    layered = stream.socket
    family, kind, protocol = layered.family, layered.type, layered.proto
    return PlainSocket(socket.socket(family, kind, protocol, fileno=layered.detach()))
