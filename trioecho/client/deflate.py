"""
Compression as the client has it (permessage-deflate, RFC 7692): what a server has compressed is inflated.

What the client sends stays plain. A frame that is left when a connection is lost can then go out on the next
one, whatever that one agrees to.

wsproto has this extension too, but it inflates without a bound (64 KiB become 64 MiB), and takes a ping
between two fragments for the end of the message.
"""

from __future__ import annotations

import zlib

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from trioecho.protocol.deflate import END, MAX_STREAMS, TAIL, TooLarge
from trioecho.protocol.deflate_offer import NAME

__all__ = ["Deflate"]

NO_BITS = RsvBits(False, False, False)
MARKED = RsvBits(True, False, False)


class Invalid(Exception):
    """It is no deflate, or only the beginning of some."""


class Deflate(Extension):
    """
    Inflates the messages of one connection, each to at most ``largest`` bytes.

    With ``keeps_past`` the server's messages may refer back to earlier ones. That costs some 40 KiB from the
    first compressed message on; without, nothing is kept between two messages.
    """

    name = NAME

    def __init__(self, largest: int, *, keeps_past: bool) -> None:
        self._largest = largest
        self._keeps_past = keeps_past
        self._inflater: zlib._Decompress | None = None
        self._left = self._streams = 0
        self._compressed = self._control = False

    def enabled(self) -> bool:
        """Return that it is in use: the handshake was ours and is done."""
        return True

    def offer(self) -> bool | str:
        """Offer nothing: what stands in the handshake is not wsproto's business."""
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> RsvBits:
        """Say which reserved bits the frame may have: the first frame of a message, the one (6.2)."""
        self._control = opcode.iscontrol()
        if self._control or opcode is Opcode.CONTINUATION:
            return NO_BITS
        self._compressed, self._left, self._streams = rsv.rsv1, self._largest, 0
        return MARKED

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Inflate a part of a message."""
        if self._control or not self._compressed:
            return data
        try:
            return self._inflate(data)
        except TooLarge:
            return CloseReason.MESSAGE_TOO_BIG
        except (Invalid, zlib.error):
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Inflate what ends a message, and see whether that is its end."""
        if self._control or not self._compressed or not fin:
            return None
        try:
            last = self._inflate(TAIL)
            self._check_end()
        except TooLarge:
            return CloseReason.MESSAGE_TOO_BIG
        except (Invalid, zlib.error):
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        return last

    def _inflate(self, data: bytes) -> bytes:
        inflated = b""
        while data:
            if self._inflater is None:
                self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            inflated += self._inflater.decompress(data, self._left + 1 - len(inflated))
            if len(inflated) > self._left:
                raise TooLarge
            if not self._inflater.eof:
                break
            # A last block, though the message goes on (7.2.3.4). A new stream refers to nothing.
            data, self._inflater = self._inflater.unused_data, None
            self._streams += 1
            if self._streams > MAX_STREAMS:
                raise Invalid
        self._left -= len(inflated)
        return inflated

    def _check_end(self) -> None:
        """Raise unless the message was complete: a last block can only come between two others."""
        if self._inflater is None:
            raise Invalid
        probe = self._inflater.copy() if self._keeps_past else self._inflater
        probe.decompress(END, 1)
        if not probe.eof:
            raise Invalid
        if not self._keeps_past:
            self._inflater = None
