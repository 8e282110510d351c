"""
The express decoder: a client's bytes in, its messages out as frames for everybody else.

trio-websocket and wsproto take some 40 microseconds a message; this loop takes one or two. It takes what
a well-behaved client sends: text and binary messages, whole or in fragments, within the size limit and in
valid UTF-8. What it does not understand it leaves, with all that follows, to trio-websocket, which stays the
authority on the protocol and finds the close code. Only the size limit, which is ours, it holds itself.

What a client has compressed is inflated here, if that was agreed on, and goes on as if it had come plain.

Fragments are put together here because in trio-websocket every fragment is an object in a list without a
bound, and its size limit counts characters. For that reason a message that is too large never gets there.
"""

from __future__ import annotations

from typing import Final

from trioecho.memory import Lease, Memory
from trioecho.protocol.deflate import RSV1, TooLarge, slack
from trioecho.protocol.fragments import Fragments
from trioecho.protocol.frame_kinds import CONTROL, DEFLATED, END, KINDS, START, WHOLE, WITH_DEFLATED
from trioecho.protocol.frames import CLOSE, TEXT, data_frame, is_utf8, xor
from trioecho.protocol.inflater import SLICE_WORK, Inflater, Invalid
from trioecho.protocol.large_frames import LARGE, LARGE_HEAD, NO_MASK, unmask

__all__ = ["Decoder"]

SLICE_FRAMES: Final = 256
"""So many frames are decoded at once, in a quarter of a millisecond; a read may hold ten thousand. A read of
messages of 250 bytes or more is always one slice."""

SLICE_CONTROLS: Final = 4
"""And so many control frames go to trio-websocket at once: each takes it as long as forty messages here."""

SLICE: Final = range(SLICE_FRAMES)

COUNTED_BYTES: Final = 4096
"""Less than this is not counted as held: it is what every connection may have under way."""


class Decoder:
    """
    One client's frames, decoded as they arrive.

    ``passthrough`` is true once something came that the decoder leaves to trio-websocket: from then on
    every byte goes there; but if ``too_big`` is, a message was larger than allowed, and all from it on is
    ignored. ``closed`` is true once the client's close frame has passed: what follows it is ignored
    (RFC 6455, 5.5.1). Set ``closing`` when our own close frame is out: of what still comes, only the
    client's close frame matters then, and a ping must not be answered any more. ``waiting`` is to be fed
    before anything that is read from the network. ``inflated`` counts the bytes that were inflated; ``busy``
    is true after a slice in which that was much work, and the client should stand in line before the next.

    What is kept of a message that is not complete, and what waits, is counted in ``memory``. ``now`` is to be
    set to when what it is fed has come.
    """

    __slots__ = (
        "_allowed",
        "_began",
        "_clear",
        "_fragments",
        "_held",
        "_inflater",
        "_kinds",
        "_largest",
        "_lease",
        "_memory",
        "_needed",
        "busy",
        "closed",
        "closing",
        "inflated",
        "now",
        "passthrough",
        "too_big",
        "waiting",
    )

    def __init__(
        self, max_message_size: int, memory: Memory | None = None, *, compressed: bool = False
    ) -> None:
        self.passthrough = False
        self.closed = False
        self.closing = False
        self.too_big = False
        self.busy = False
        self.inflated = 0
        self.now = self._began = 0.0  # when the first byte came of what is held
        self.waiting = b""
        self._largest = max_message_size
        # Of a frame that is not here in whole: its bytes so far, and how many it takes to go on. In one
        # buffer, because a client that dribbles would make an object of every two bytes.
        self._held = bytearray()
        self._needed = 0
        self._clear = 0  # of a large one, up to where its mask is off
        self._fragments: Fragments | None = None  # of a message of which the last is not here yet
        self._allowed = max_message_size  # what the next frame may add to them
        self._inflater: Inflater | None = None  # of a message that is here in whole
        self._kinds = WITH_DEFLATED if compressed else KINDS
        self._memory = memory
        self._lease: Lease | None = None

    @property
    def unfinished(self) -> int:
        """What is held of it (bytes), if that is much."""
        return 0 if self._lease is None else self._lease.size

    @property
    def inflating(self) -> bool:
        """Whether there is a message to go on with that has come in whole, whatever waits behind it."""
        return self._inflater is not None

    @property
    def began(self) -> float | None:
        """When the first byte came of a message, or control frame, that is not complete, if there is one."""
        if self.passthrough or self.closed:
            return None
        if self._fragments is not None:
            return self._fragments.began
        return self._began if self._held else None

    def begin_anew(self) -> None:
        """Take what is not complete as if it had begun ``now``."""
        self._began = self.now
        if self._fragments is not None:
            self._fragments.began = self.now

    def forget(self) -> None:
        """Forget what is unfinished, and ignore whatever comes: the client is being disconnected."""
        self._give_up([])
        self._held = bytearray()
        self.waiting, self._lease = b"", None

    def _hold(self) -> None:
        """Count what is kept."""
        size = len(self._held) + len(self.waiting) + len(self._fragments or b"") + len(self._inflater or b"")
        if self._memory is not None:
            self._lease = Lease(self._memory, size) if size >= COUNTED_BYTES else None

    def put_off(self, data: bytes) -> None:
        """Let ``data`` wait until it is the client's turn."""
        self.waiting = data
        self._hold()

    def feed(self, data: bytes | bytearray) -> tuple[list[bytes], bytes]:
        """
        Take the next bytes from the client.

        Returns the messages that are complete, each as one unmasked frame, and the bytes that are for
        trio-websocket: control frames, or all that is left once it passes through. What comes after a
        control frame waits in ``waiting`` until that has been seen to: a ping between two messages is
        answered between them. So does what is more than ``SLICE_FRAMES`` frames, or ``SLICE_CONTROLS``
        control frames: a slice of work, after which others get their turn.
        """
        if self.closed or self.passthrough:
            return [], b"" if self.closed or self.too_big else bytes(data)
        self._lease = None
        frames: list[bytes] = []
        rest: list[bytes] = []
        self.busy, began, work = False, self.now, SLICE_WORK
        if self._inflater is not None and (work := self._inflate(frames, rest, work)) <= 0:
            return frames, self._end_slice(rest, data)
        if self._held:
            began = self._began
            self._held += data
            if self._needed >= LARGE:
                self._clear = unmask(self._held, self._clear, self._needed)
            if len(self._held) < self._needed:
                self._hold()
                return [], b""
            data, self._held = self._held, bytearray()
        at, end, needed, kinds = 0, len(data), 2, self._kinds
        for _ in SLICE:
            if end - at < 2:
                break
            first, second = data[at], data[at + 1]
            kind = kinds.get(first)
            if kind is None or second < 0x80:  # unknown, or not masked
                return frames, self._pass_through(rest, data[at:])
            if rest and kind != CONTROL:
                return frames, self._end_slice(rest, data[at:])
            length, start = second & 0x7F, at + 6
            if length > 125:
                start = at + 8 if length == 126 else at + 14
                if end < start - 4:
                    needed = start - 4 - at
                    break
                shortest = 126 if length == 126 else 65_536
                length = int.from_bytes(data[at + 2 : start - 4], "big")
                if length < shortest or kind == CONTROL or length >> 63:  # no length at all (5.2)
                    return frames, self._pass_through(rest, data[at:])
            if length > self._allowed and kind != CONTROL:
                deflated = first & RSV1 or (self._fragments is not None and self._fragments.deflated)
                if not deflated or length > self._allowed + slack(self._largest):
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
                    return frames, self._end_slice(rest, data[stop:])
            else:
                payload: bytes | bytearray = data[start:stop]
                if length < LARGE or data[start - 4 : start] != NO_MASK:
                    payload = xor(payload, data[start - 4 : start])
                if kind == WHOLE:
                    if self._fragments is not None or (first == TEXT and not is_utf8(payload)):
                        return frames, self._pass_through(rest, data[at:])
                    frames.append(data_frame(first, payload))
                elif kind == DEFLATED and self._fragments is None:
                    self._inflater = Inflater(first ^ RSV1, payload, self._largest)
                elif not self._add_fragment(frames, kind, first, payload, began if at == 0 else self.now):
                    return frames, self._pass_through(rest, data[at:])
                if self._inflater is not None and (work := self._inflate(frames, rest, work)) <= 0:
                    return frames, self._end_slice(rest, data[stop:])
            at = stop
            needed = 2
        else:
            return frames, self._end_slice(rest, data[at:])
        if at < end:
            self._began = began if at == 0 else self.now
            self._held += data[at:]
            self._needed = needed
            if needed >= LARGE:
                self._clear = unmask(self._held, LARGE_HEAD, needed)
        if at < end or self._fragments is not None:
            self._hold()
        return frames, b"".join(rest)

    def _add_fragment(
        self, frames: list[bytes], kind: int, first: int, payload: bytes | bytearray, began: float
    ) -> bool:
        """Add a fragment, which may make a message whole; False if it is wrong."""
        fragments = self._fragments
        if (kind == START) != (fragments is None) or kind == DEFLATED:
            return False
        if fragments is None:
            fragments = Fragments(first, began)
        if not fragments.add(payload, final=kind == END):  # not UTF-8
            return False
        if kind != END:
            self._fragments = fragments
            self._allowed -= len(payload)
            return True
        if fragments.deflated:
            self._inflater = Inflater(fragments.first, fragments.payload, self._largest)
        else:
            frames.append(data_frame(fragments.first, fragments.payload))
        self._fragments, self._allowed = None, self._largest
        return True

    def _inflate(self, frames: list[bytes], rest: list[bytes], work: int) -> int:
        """Go on with a message; return how much of the slice's ``work`` is left: none if it is wrong."""
        inflater = self._inflater
        assert inflater is not None
        before = inflater.size
        try:
            work = inflater.go_on(work)
        except TooLarge:
            self.passthrough = self.too_big = True
        except Invalid as invalid:
            self.passthrough = True
            rest.append(invalid.frame)
        self.inflated += inflater.size - before
        if inflater.frame is not None:
            frames.append(inflater.frame)
        if inflater.frame is not None or self.passthrough:
            self._inflater = None
        self.busy = work <= 0
        return 0 if self.passthrough else work

    def _end_slice(self, rest: list[bytes], data: bytes | bytearray) -> bytes:
        """End a slice of work, or all of it where a message was wrong; ``data`` is what follows."""
        if self.passthrough:
            return self._pass_through(rest, data)
        self.put_off(bytes(data))
        return b"".join(rest)

    def _give_up(self, rest: list[bytes]) -> bytes:
        """Forget a message that is too large, and ignore all that follows."""
        self.too_big = True
        self._fragments = self._inflater = None
        return self._pass_through(rest, b"")

    def _pass_through(self, rest: list[bytes], data: bytes | bytearray) -> bytes:
        """Leave ``data`` and all that follows to trio-websocket, with the fragments it has not seen yet."""
        self.passthrough = True
        if self._fragments is not None:
            rest.append(self._fragments.as_frame())
            self._fragments = None
        if not self.too_big:
            rest.append(bytes(data))
        return b"".join(rest)
