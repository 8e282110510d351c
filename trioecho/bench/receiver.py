"""
One connection's reading side: what comes is compared with what should, and taken apart only where it differs.

A receiver of one publisher (the usual case) checks a whole read with one comparison of bytes. A receiver of
several cannot know how they interleave, so it looks at one frame after another, each still compared as bytes.
Whatever is neither, a ping, a fragment, a wrong message, is parsed as the RFC says.
"""

from __future__ import annotations

import ssl
from time import perf_counter_ns

from trioecho.bench.connection import WOULD_BLOCK, LoadConnection
from trioecho.bench.messages import find_claim, identify
from trioecho.bench.track import Faults, Track
from trioecho.bench.unpacker import Unpacker
from trioecho.protocol.escape import quote
from trioecho.protocol.frames import FIN, MAX_LENGTH, BadFrame, Opcode, header, split
from trioecho.system_errors import reason_of

__all__ = ["Disconnected", "Receiver"]

LONGEST_REASON = 123
"""How much of a close frame's reason is kept (characters)."""

READ_SIZE = 2**18
"""The most bytes one read takes (256 KiB: 64 messages of 4 KiB; larger gave nothing)."""

_buffer = bytearray(READ_SIZE)
_view = memoryview(_buffer)
# One buffer for every read of the process: nothing of a read is kept in it, and it stays in the cache.


class Disconnected(Exception):
    """The server ended this connection; the text says how."""


class Receiver:
    """A connection in a room, with a track for each publisher that it should receive from."""

    __slots__ = (
        "_at",
        "_expected",
        "_follower",
        "_length",
        "_lone",
        "_parts",
        "_parts_length",
        "_period",
        "_receive",
        "_rest",
        "_stream",
        "_tag_length",
        "_tags",
        "_tls",
        "_unpacker",
        "connection",
        "faults",
        "tracks",
        "writing",
    )

    def __init__(
        self,
        connection: LoadConnection,
        tracks: list[Track],
        faults: Faults,
        unpacker: Unpacker | None = None,
    ) -> None:
        self.connection = connection
        self.tracks = tracks
        self.faults = faults
        self.writing = False
        """Whether the loop waits until it can write, too."""
        self._unpacker = unpacker
        """What makes plain what comes, if the server compresses."""
        self._receive = connection.socket.recv_into
        self._tls = isinstance(connection.socket, ssl.SSLSocket)
        self._tags = {track.stream.messages.tag: track for track in tracks}
        self._tag_length = len(next(iter(self._tags), b""))
        self._lone = len(tracks) == 1
        self._at = 0 if self._lone and not tracks[0].stream.sent else -1
        """The place in the lone publisher's ring, in bytes; -1 while frames must be looked at one by one."""
        if self._lone:
            self._stream, self._follower = tracks[0].stream, tracks[0].follower
            messages = self._stream.messages
            self._expected = messages.expected.startswith
            self._length, self._period = messages.length, messages.period
        self._rest = b""
        """The beginning of a frame, while they are looked at one by one."""
        self._parts: list[bytes] = []
        """The fragments so far of a fragmented message, its opcode first."""
        self._parts_length = 0

    def begin(self, early: bytes) -> None:
        """
        Take what came together with the answer to the handshake.

        Raises:
            Disconnected: the connection is over already.

        """
        if early and self._unpacker is not None:
            early = self._unpacked(early)
        if early:
            self._at = -1
            try:
                self._inspect(early)
            except OSError as error:
                raise Disconnected(reason_of(error)) from error

    def readable(self) -> None:
        """
        Take what the kernel has, answer pings, count faults.

        This is what a delivery costs: for a lone publisher's next bytes, one call to receive them, one to
        compare them, and one to enter them.

        Raises:
            Disconnected: the connection is over.

        """
        try:
            while True:
                size = self._receive(_buffer)
                data: bytes | memoryview = _view[:size]
                if size and self._unpacker is not None:
                    data = self._unpacked(data)
                    if not data:
                        continue
                    size = len(data)
                at = self._at
                if at >= 0 and size and self._expected(data, at):
                    after, length = at + size, self._length
                    whole = after // length - at // length
                    if whole:
                        self._stream.received(self._follower, whole, perf_counter_ns())
                    self._at = after % self._period
                else:
                    self._unexpected(data)
                # TLS may hold back more than the kernel shows, so it is asked until it has none.
                if not self._tls:
                    return
        except WOULD_BLOCK:
            return
        except OSError as error:
            raise Disconnected(reason_of(error)) from error

    def finish(self) -> None:
        """No more will come: count what is missing."""
        for track in self.tracks:
            track.finish(self.faults)

    def leave(self) -> None:
        """No more is meant for it: nothing that is on its way is missing."""
        for track in self.tracks:
            track.stream.leave(track.follower)

    def _unpacked(self, data: bytes | memoryview) -> bytes:
        assert self._unpacker is not None
        try:
            return self._unpacker.plain(data)
        except BadFrame as error:
            raise Disconnected(f"sent {error}") from error

    def _unexpected(self, data: bytes | memoryview) -> None:
        """Look at a read that is not simply the lone publisher's next bytes."""
        if not data:
            raise Disconnected("closed without a close frame")
        at = self._at
        if at >= 0:
            self._at = -1
            self._rest = self.tracks[0].stream.messages.expected[at - at % self._length : at]
        self._inspect(self._rest + data)

    def _inspect(self, buffer: bytes) -> None:
        """Look at the frames in ``buffer`` one by one; it begins with a frame."""
        at, now = 0, perf_counter_ns()
        while True:
            if track := self._tags.get(buffer[at : at + self._tag_length]):
                stream = track.stream
                messages = stream.messages
                if buffer.startswith(messages.frame(stream.places[track.follower] % messages.count), at):
                    stream.received(track.follower, 1, now)
                    at += messages.length
                    continue
            try:
                frame = split(buffer, at)
            except BadFrame as error:
                raise Disconnected(f"sent {error}") from error
            if frame is None:
                break
            first, body, at = frame
            self._frame(first, buffer[body:at], now)
        self._rest = buffer[at:]
        self._trust()

    def _trust(self) -> None:
        """Compare whole reads again, if the rest is how the lone publisher's next frame begins."""
        if self._lone and not self._parts:
            messages = self._stream.messages
            slot = self.tracks[0].place % messages.count
            if messages.frame(slot).startswith(self._rest):
                self._at = slot * messages.length + len(self._rest)
                self._rest = b""

    def _frame(self, first: int, payload: bytes, now: int) -> None:
        """One frame that is not simply the next message."""
        opcode = first & 0x0F
        if opcode == Opcode.PING:
            self.connection.answer(payload)
        elif opcode == Opcode.CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            reason = payload[2:].decode(errors="replace")
            raise Disconnected(f"closed with {code} {quote(reason, LONGEST_REASON)}".rstrip())
        elif opcode != Opcode.PONG:
            if opcode != Opcode.CONTINUATION:
                self._parts, self._parts_length = [bytes([opcode])], 0
            elif not self._parts:
                raise Disconnected("sent a continuation of nothing")
            if payload:
                self._parts.append(payload)
                self._parts_length += len(payload)
            if self._parts_length > MAX_LENGTH:
                raise Disconnected(f"sent a message of more than {MAX_LENGTH} bytes")
            if first & FIN:
                opcode, parts = self._parts[0][0], self._parts[1:]
                self._parts = []
                self._message(opcode, b"".join(parts), now)

    def _message(self, opcode: int, payload: bytes, now: int) -> None:
        """One message that is not simply the next frame of its publisher."""
        at = find_claim(payload)
        claimed = None if at is None else identify(payload[at:])
        if at is None or claimed is None or opcode not in (Opcode.TEXT, Opcode.BINARY):
            self.faults.changed += 1
            return
        number, slot = claimed
        for track in self.tracks:
            messages = track.stream.messages
            if messages.number == number and slot < messages.count:
                # A changed message has arrived nevertheless: it is not lost as well.
                track.arrived(slot, now, self.faults)
                if messages.frame(slot) != header(FIN | opcode, len(payload)) + payload:
                    self.faults.changed += 1
                    self.faults.prefix = self.faults.prefix or payload[:at]
                return
        self.faults.misdirected += 1
