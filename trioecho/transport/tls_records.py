"""
Records of TLS: OpenSSL between two buffers in memory, and the calls that move bytes to the kernel.

OpenSSL never sees the socket (:class:`ssl.MemoryBIO`). That costs the same CPU as :class:`ssl.SSLSocket`
and some memory, and buys three things: a record that the kernel took in part is ours to keep and finish,
whoever is cancelled meanwhile; reading and writing never wait for each other; and one read of the socket
brings many small records, where OpenSSL by itself makes two system calls for each.

Nothing here waits; :mod:`trioecho.transport.tls_socket` does.

Sources: RFC 8446 (TLS 1.3), the ssl module's "Notes on non-blocking sockets", SSL_write(3).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress

import trio

from trioecho.transport.tls_errors import subject_of, tls_problem

__all__ = ["RECORD_BYTES", "Buffer", "TLSRecords", "in_records"]

RECORD_BYTES = 16 * 1024
"""The most plaintext that one record holds (RFC 8446, 5.1)."""

RECORDS_A_CALL = 4
"""So many records go to the kernel in one system call; the most that is ever kept when it takes none."""

MAX_UNREAD_ANSWERS = RECORD_BYTES
"""How many bytes of protocol answers (alerts, key updates) wait for a peer that does not read them."""

Buffer = bytes | bytearray | memoryview


class TLSRecords:
    """
    One connection's TLS without the waiting.

    Options are the context's; ``received`` is what has been read from ``connected`` already;
    ``server_hostname`` is for the client's side only.

    Attributes:
        socket: the socket. Its file descriptor must not be kept: by then the number may belong to another
        client.

    """

    __slots__ = (
        "_broken",
        "_drained",
        "_ended",
        "_incoming",
        "_outgoing",
        "_owed",
        "_tls",
        "_unsent",
        "socket",
    )

    def __init__(
        self,
        connected: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool = True,
        server_hostname: str | None = None,
        received: bytes = b"",
    ) -> None:
        connected.setblocking(False)
        self.socket = connected
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(received)
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._unsent: Buffer = b""  # records that the kernel has yet to take
        self._owed = False  # whether send() has kept one byte back, see there
        self._drained = not received  # whether OpenSSL has made all it can of what was received
        self._ended = False  # the peer's close_notify was read
        self._broken: str | None = None  # why nothing works any more

    @property
    def tls_subject(self) -> str | None:
        """The common name in the peer's verified certificate, or its first alternative name, or ``None``."""
        return subject_of(self._tls.getpeercert())

    @property
    def tls_version(self) -> str | None:
        """The protocol's version, ``TLSv1.3`` say; ``None`` before the handshake."""
        return self._tls.version()

    @property
    def alpn_protocol(self) -> str | None:
        """The protocol that both sides agreed on (RFC 7301), if they did."""
        return self._tls.selected_alpn_protocol()

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed an earlier session (RFC 8446, 2.2)."""
        return bool(self._tls.session_reused)

    def send(self, data: Buffer) -> int:
        """
        Encrypt ``data`` and hand it to the kernel without waiting; return how many bytes are done with.

        Fewer than all: what follows them must be the start of what is written next, as with SSL_write(3). A
        record once made can't be taken back, so one byte of it is not counted before the kernel has all of
        it; that makes the caller come again. ``data`` has at least two bytes, as every frame has.

        Raises:
            BlockingIOError: the kernel takes nothing, and nothing of ``data`` was encrypted.
            OSError: the connection is gone.

        """
        if self._unsent or self._owed or self._broken is not None or len(data) > RECORD_BYTES:
            return self.send_parts((data,))
        taken = self._tls.write(data)
        records = self._outgoing.read()
        try:
            sent = self.socket.send(records)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._os_error(error) from None
        if sent == len(records):
            return taken
        self._unsent = memoryview(records)[sent:]
        self._owed = True
        return taken - 1

    def send_parts(self, parts: Sequence[Buffer]) -> int:
        """Do as :meth:`send` does with all ``parts``, one after another; small ones share a record."""
        if not self._push():
            raise BlockingIOError("the kernel takes nothing just now")
        done = 0
        if self._owed:
            self._owed, done = False, 1
            parts = (memoryview(parts[0])[1:], *parts[1:])
        for chunks in in_records(parts):
            done += sum(map(len, chunks))
            if not self._hand_over(chunks):
                self._owed = True
                return done - 1
        return done

    def _decrypt(self, room: int) -> bytes:
        """Return what is there already, at most ``room`` bytes; ``b""``: nothing yet, or the end."""
        parts: list[bytes] = []
        try:
            while room and not self._ended:
                part = self._tls.read(min(room, RECORD_BYTES))
                parts.append(part)
                room -= len(part)
                self._ended = not part
                if not self._incoming.pending and not self._tls.pending():
                    self._drained = True  # known without an exception, which costs more than the read
                    break
        except ssl.SSLWantReadError:
            self._drained = True
        except ssl.SSLError as error:
            self._break(tls_problem(error))
            self._drained = True
        if self._outgoing.pending:
            # OpenSSL answered something. If the kernel takes it later, it goes before the next record.
            with suppress(OSError):
                self._push()
            if self._outgoing.pending > MAX_UNREAD_ANSWERS:
                self._break("the peer asks for answers and does not read them")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _hand_over(self, chunks: Sequence[Buffer]) -> bool:
        """Make a record of each chunk and hand them to the kernel; return whether it took them all."""
        records = []
        for chunk in chunks:
            self._tls.write(chunk)
            records.append(self._outgoing.read())
        try:
            sent = self.socket.sendmsg(records)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._os_error(error) from None
        if sent == sum(map(len, records)):
            return True
        self._unsent = memoryview(b"".join(records))[sent:]
        return False

    def _push(self) -> bool:
        """Hand the records that wait to the kernel; return whether none is left."""
        if self._broken is not None and not self._outgoing.pending:
            raise BrokenPipeError(self._broken)
        while self._unsent or self._outgoing.pending:
            self._unsent = self._unsent or self._outgoing.read()
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return False
            except OSError as error:
                raise self._os_error(error) from None
            self._unsent = memoryview(self._unsent)[sent:] if sent < len(self._unsent) else b""
        return True

    def _break(self, why: str) -> trio.BrokenResourceError:
        """Let nothing work any more, and return what to raise; the first reason stays."""
        if self._broken is None:
            self._broken = why
        return trio.BrokenResourceError(self._broken)

    def _os_error(self, error: OSError) -> OSError:
        """Note that a record is lost: any that followed would only be refused by the peer."""
        if self.socket.fileno() >= 0:
            self._break(f"the connection is gone: {error}")
        return error


def in_records(parts: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """Cut ``parts`` into what one record holds, small ones joined, and as many as one system call sends."""
    records: list[Buffer] = []
    record = bytearray()
    for part in parts:
        view = memoryview(part)
        while view:
            piece = view[: RECORD_BYTES - len(record)]
            record += piece  # the copy costs some 6 % of the encryption
            view = view[len(piece) :]
            if len(record) == RECORD_BYTES:
                records.append(record)
                record = bytearray()
            if len(records) == RECORDS_A_CALL:
                yield records
                records = []
    if record:
        records.append(record)
    if records:
        yield records
