"""
The express decoder: a client's bytes in, its messages out as frames for everybody else.

trio-websocket and wsproto take some 40 microseconds a message; this loop takes one or two. It takes what
a well-behaved client sends: text and binary messages, whole or in fragments, within the size limit and in
valid UTF-8. What it does not understand it leaves, with all that follows, to trio-websocket, which stays the
authority on the protocol and finds the close code. Only the size limit, which is ours, it holds itself.

Fragments are put together here rather than in trio-websocket, because there every fragment is an object in
a list without a bound, and its size limit counts characters. For the same reason a message that is too
large never gets there.
"""

from __future__ import annotations

import codecs
from typing import Final

from trioecho.protocol.frames import BINARY, CLOSE, TEXT, data_frame, xor

__all__ = ["Decoder"]

WHOLE: Final = 1
CONTROL: Final = 2
START: Final = 3
MIDDLE: Final = 4
END: Final = 5

KINDS: Final = {
    TEXT: WHOLE,
    BINARY: WHOLE,
    0x01: START,
    0x02: START,
    0x00: MIDDLE,
    0x80: END,
    0x88: CONTROL,
    0x89: CONTROL,
    0x8A: CONTROL,
}
"""What a frame's first byte makes it; any other has a reserved bit or opcode, or breaks a control frame."""

FIN: Final = 0x80

SLICE_FRAMES: Final = 256
"""So many frames are decoded at once, in a quarter of a millisecond; a read may hold ten thousand. A read of
messages of 250 bytes or more is always one slice."""

SLICE_CONTROLS: Final = 4
"""And so many control frames go to trio-websocket at once: each takes it as long as forty messages here."""

SLICE: Final = range(SLICE_FRAMES)


class Decoder:
    """
    One client's frames, decoded as they arrive.

    ``passthrough`` is true once something came that the decoder leaves to trio-websocket: from then on
    every byte goes there; but if ``too_big`` is, a message was larger than allowed, and all from it on is
    ignored.
    ``closed`` is true once the client's close frame has passed: what follows it is ignored
    (RFC 6455, 5.5.1). Set ``closing`` when our own close frame is out: of what still comes, only the
    client's close frame matters then, and a ping must not be answered any more. ``waiting`` is to be fed
    before anything that is read from the network.
    """

    __slots__ = (
        "_allowed",
        "_fragments",
        "_held",
        "_largest",
        "_needed",
        "_opcode",
        "_utf8",
        "closed",
        "closing",
        "passthrough",
        "too_big",
        "waiting",
    )

    def __init__(self, max_message_size: int) -> None:
        self.passthrough = False
        self.closed = False
        self.closing = False
        self.too_big = False
        self.waiting = b""
        self._largest = max_message_size
        # Of a frame that is not here in whole: its bytes so far, and how many it takes to go on. In one
        # buffer, because a client that dribbles would make an object of every two bytes.
        self._held = bytearray()
        self._needed = 0
        # Of a message that comes in fragments: its opcode, its payload so far, and for text the decoder
        # that stands where the last fragment ended (a character may be cut in two).
        self._fragments: bytearray | None = None
        self._allowed = max_message_size  # what the next frame may add to them
        self._opcode = 0
        self._utf8: codecs.IncrementalDecoder | None = None

    def feed(self, data: bytes | bytearray) -> tuple[list[bytes], bytes]:
        """
        Take the next bytes from the client.

        Returns the messages that are complete, each as one unmasked frame, and the bytes that are for
        trio-websocket: control frames, or all that is left once it passes through. What comes after a
        control frame waits in ``waiting`` until that has been seen to: a ping between two messages is
        answered between them. So does what is more than ``SLICE_FRAMES`` frames, or ``SLICE_CONTROLS``
        control frames: a slice of work, after which others get their turn.
        """
        if self.closed or self.too_big:
            return [], b""
        if self.passthrough:
            return [], bytes(data)
        if self._held:
            self._held += data
            if len(self._held) < self._needed:
                return [], b""
            data = bytes(self._held)
            self._held.clear()
        frames: list[bytes] = []
        rest: list[bytes] = []
        at, end, needed = 0, len(data), 2
        for _ in SLICE:
            if end - at < 2:
                break
            first, second = data[at], data[at + 1]
            kind = KINDS.get(first)
            if kind is None or second < 0x80:  # unknown, or not masked
                return frames, self._pass_through(rest, data[at:])
            if rest and kind != CONTROL:
                self.waiting = bytes(data[at:])
                return frames, b"".join(rest)
            length, start = second & 0x7F, at + 6
            if length > 125:
                start = at + 8 if length == 126 else at + 14
                if end < start - 4:
                    needed = start - 4 - at
                    break
                shortest = 126 if length == 126 else 65_536
                length = int.from_bytes(data[at + 2 : start - 4], "big")
                if length < shortest or kind == CONTROL:
                    return frames, self._pass_through(rest, data[at:])
            if length > self._allowed and kind != CONTROL:
                if length >> 63:  # no length at all (5.2)
                    return frames, self._pass_through(rest, data[at:])
                return frames, self._give_up(rest)
            stop = start + length
            if stop > end:
                needed = stop - at
                break
            if kind == CONTROL:
                if first == CLOSE or not self.closing:
                    rest.append(bytes(data[at:stop]))
                if first == CLOSE:
                    self.closed = True
                    return frames, b"".join(rest)
                if len(rest) >= SLICE_CONTROLS:
                    self.waiting = bytes(data[stop:])
                    return frames, b"".join(rest)
            else:
                payload = xor(data[start:stop], data[start - 4 : start])
                if kind == WHOLE:
                    if self._fragments is not None or (first == TEXT and not _is_utf8(payload)):
                        return frames, self._pass_through(rest, data[at:])
                    frames.append(data_frame(first, payload))
                elif not self._add_fragment(kind, first, payload):
                    return frames, self._pass_through(rest, data[at:])
                elif kind == END:
                    frames.append(self._take_message())
            at = stop
            needed = 2
        else:
            self.waiting = bytes(data[at:])
            return frames, b"".join(rest)
        if at < end:
            self._held += data[at:]
            self._needed = needed
        return frames, b"".join(rest)

    def _add_fragment(self, kind: int, first: int, payload: bytes) -> bool:
        """Add a fragment; False if it does not belong where it stands, or is not UTF-8."""
        if (kind == START) != (self._fragments is None):
            return False
        utf8 = self._utf8
        if kind != START:
            first = self._opcode
        elif first == 0x01:
            utf8 = codecs.getincrementaldecoder("utf-8")()
        if utf8 is not None:
            try:
                utf8.decode(payload, final=kind == END)
            except UnicodeDecodeError:
                return False
        if self._fragments is None:
            self._fragments = bytearray()
        self._fragments += payload
        self._allowed -= len(payload)
        self._opcode, self._utf8 = first, utf8
        return True

    def _take_message(self) -> bytes:
        """Return the message that the last fragment made whole, as one frame."""
        payload = self._fragments or bytearray()
        self._fragments = self._utf8 = None
        self._allowed = self._largest
        return data_frame(FIN | self._opcode, payload)

    def _give_up(self, rest: list[bytes]) -> bytes:
        """Forget a message that is too large, and ignore all that follows."""
        self.passthrough = self.too_big = True
        self._fragments = self._utf8 = None
        return b"".join(rest)

    def _pass_through(self, rest: list[bytes], data: bytes | bytearray) -> bytes:
        """Leave ``data`` and all that follows to trio-websocket, with the fragments it has not seen yet."""
        self.passthrough = True
        if self._fragments is not None:
            # One frame that says what they said: not final, and masked with zeros.
            head = bytearray(data_frame(FIN | self._opcode, self._fragments))
            size = 2 if head[1] < 126 else 4 if head[1] == 126 else 10
            rest.append(bytes((self._opcode, head[1] | 0x80)) + head[2:size] + bytes(4) + head[size:])
            self._fragments = self._utf8 = None
        rest.append(bytes(data))
        return b"".join(rest)


def _is_utf8(payload: bytes) -> bool:
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
