"""
A TLS socket: TLS over one socket that never blocks, with a way to write that needs no task.

trio's own :class:`trio.SSLStream` sends every record through the scheduler. Here a record is made and
handed to the kernel in one plain call, :meth:`TLSSocket.send`, so that a fan-out over TLS costs the
encryption and the system call and little else. Waiting is still done with trio, here; what needs no waiting
stands in :mod:`trioecho.transport.tls_records`.
"""

from __future__ import annotations

import math
import operator
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from trioecho.transport.socket_stream import PlainSocket
from trioecho.transport.tls_errors import tls_problem
from trioecho.transport.tls_records import RECORD_BYTES, Buffer, TLSRecords, in_records

__all__ = ["TLSSocket"]

RECEIVE_BYTES = RECORD_BYTES + 256 + 5
"""
One read of the socket takes at most this much: a whole record. OpenSSL's buffer keeps what it once grew to.
"""

PLAINTEXT_BYTES = 64 * 1024
"""One :meth:`TLSSocket.receive_some` returns at most this much (bytes), unless it is told."""

CLOSED = "the connection was closed here"


class TLSSocket(TLSRecords, trio.abc.Stream):
    """
    One connection over TLS, as a stream. One task may read and another write.

    :meth:`do_handshake` comes first. There is no half-closing.
    """

    __slots__ = ()

    async def do_handshake(
        self, *, within: float = math.inf, take_turn: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """
        Shake hands, in at most ``within`` seconds.

        To answer the client's hello is a signature, up to a millisecond of work: ``take_turn`` is waited for
        before each step.

        Raises:
            trio.BrokenResourceError: it failed or took too long; the text is one sentence. Only closing is
            left. trio.ClosedResourceError: it was closed here.

        If cancelled, only closing is left.

        """
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(within) as scope:
            while True:
                try:
                    self._tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._flush()
                    await self._feed()
                    if take_turn is not None:
                        await take_turn()
                except ssl.SSLError as error:
                    raise self._break(tls_problem(error, handshaking=True)) from error
            await self._flush()
        if scope.cancelled_caught:
            raise self._break(f"the TLS handshake took longer than {within:g} s")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """
        Wait for bytes, at most ``max_bytes``, and take them; ``b""`` when the peer has said that it is done.

        Raises:
            trio.BrokenResourceError: the connection is gone, also when the peer ended it without a
            close_notify:
                what it sent may then have been cut short by somebody else (RFC 8446, 6.1).
            trio.ClosedResourceError: it was closed here.
            trio.BusyResourceError: another task reads.

        If cancelled, nothing was taken.

        """
        if max_bytes is None:
            max_bytes = PLAINTEXT_BYTES
        elif operator.index(max_bytes) < 1:
            raise ValueError("max_bytes is at least 1")
        waited = False
        while True:
            self._descriptor()
            if not self._drained or self._ended:
                if not waited:
                    await trio.lowlevel.checkpoint()
                    waited = True
                data = self._decrypt(max_bytes)
                if data or self._ended:
                    return data
            if self._broken is not None:
                raise trio.BrokenResourceError(self._broken)
            await self._feed()
            waited = True

    async def send_all(self, data: Buffer) -> None:
        """
        Send all of ``data``; raises as :meth:`receive_some` does.

        If cancelled, a part of it may have been sent; a record that was begun is finished by the next write.
        """
        await trio.lowlevel.checkpoint()
        await self._flush()
        if self._owed:
            self._owed, data = False, memoryview(data)[1:]
        try:
            for chunks in in_records((data,)):
                if not self._hand_over(chunks):
                    await self._flush()
        except OSError as error:
            raise self._failure(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel has what was begun and may take more; raises as the others do."""
        while True:
            try:
                await trio.lowlevel.wait_writable(self._descriptor())
                if self._push():
                    return
            except OSError as error:
                raise self._failure(error) from error

    async def say_goodbye(self) -> PlainSocket:
        """
        Send a close_notify, and return the plain socket, for waiting until the peer has ended it too.

        What comes over it is of no use any more, and this stream is still what has to be closed. Raises as
        the others do.
        """
        await self._flush()
        if self._broken is None:
            with suppress(OSError):
                self._tls.unwrap()
            await self._flush()
        return PlainSocket(self.socket)

    def close(self) -> None:
        """
        Say goodbye (close_notify), if the kernel takes it at once, and close; nothing is waited for.

        Whoever waits for it is woken with ``ClosedResourceError``. Closing twice is harmless.
        """
        if self.socket.fileno() >= 0:
            if self._broken is None:
                with suppress(OSError):  # it always has something to say: the peer's goodbye has not come yet
                    self._tls.unwrap()
            with suppress(OSError):
                self._push()
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()

    async def aclose(self) -> None:
        """Do as :meth:`close`; a checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    async def _feed(self) -> None:
        """Wait for bytes from the network and give them to OpenSSL."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._descriptor())
                received = self.socket.recv(RECEIVE_BYTES)
                break
            except BlockingIOError:
                continue  # it was not for us after all
            except OSError as error:
                raise self._failure(error) from error
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()
        self._drained = False

    async def _flush(self) -> None:
        """Wait until the kernel has all records that were made."""
        try:
            if self._push():
                return
        except OSError as error:
            raise self._failure(error) from error
        await self.wait_send_all_might_not_block()

    def _descriptor(self) -> int:
        """Return the socket's descriptor, for one wait: trio would wait for -1 as well, and never end."""
        number = self.socket.fileno()
        if number < 0:
            raise trio.ClosedResourceError(CLOSED)
        return number

    def _failure(self, error: OSError) -> Exception:
        if self.socket.fileno() < 0:
            return trio.ClosedResourceError(CLOSED)
        gone = tls_problem(error) if isinstance(error, ssl.SSLError) else f"the connection is gone: {error}"
        return self._break(gone)
