"""
What clients send, as Hypothesis makes it, and what wsproto makes of it.

wsproto is the other side in every test of frames: it was written by others, from the RFC.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator

from hypothesis import strategies as st
from wsproto.connection import CLIENT, SERVER, Connection
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, Pong, TextMessage

Seen = tuple[str, object]
"""Something a client said, or a server: ("text", "hello"), ("ping", b""), ("close", 1002)."""

LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536]
"""Where a frame's header changes its form (RFC 6455, 5.2)."""

# One character of each length in UTF-8, so that splits fall into the middle of them.
texts = st.text(st.sampled_from("aé\u20ac\U0001f600\x00"), max_size=40) | st.sampled_from(
    [length * "x" for length in LENGTHS]
)
binaries = st.binary(max_size=40) | st.sampled_from([length * b"\xfe" for length in LENGTHS])
messages = texts | binaries


def masked(
    first: int, payload: bytes, *, length: int | None = None, mask: bytes = b"\x0f\xf0\x55\xaa"
) -> bytes:
    """Make one client's frame by hand; ``length`` picks a form of the header: 7, 16 or 64 bits."""
    size = len(payload)
    form = length or (7 if size < 126 else 16 if size < 65_536 else 64)
    if form == 7:
        header = bytes((first, 0x80 | size))
    elif form == 16:
        header = struct.pack("!BBH", first, 0x80 | 126, size)
    else:
        header = struct.pack("!BBQ", first, 0x80 | 127, size)
    return header + mask + bytes([byte ^ mask[at % 4] for at, byte in enumerate(payload)])


@st.composite
def fragmented(draw: st.DrawFn) -> list[bytes]:
    """Make a message in fragments, cut anywhere, with control frames between them."""
    opcode = draw(st.sampled_from([0x01, 0x02]))
    payload = draw(texts).encode() if opcode == 0x01 else draw(binaries)
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    frames: list[bytes] = []
    start = 0
    for cut in cuts:
        frames.append(masked(0x00 if frames else opcode, payload[start:cut]))
        frames += draw(st.lists(controls, max_size=2))
        start = cut
    frames.append(masked(0x80 if frames else 0x80 | opcode, payload[start:]))
    return frames


controls = st.builds(masked, st.sampled_from([0x89, 0x8A]), st.binary(max_size=125))
wholes = st.builds(lambda text: [masked(0x81, text.encode())], texts) | st.builds(
    lambda payload: [masked(0x82, payload)], binaries
)
orderly = wholes | fragmented() | st.builds(lambda frame: [frame], controls)

codes = st.sampled_from([999, 1000, 1004, 1005, 1006, 1015, 1016, 2999, 3000, 4999, 5000, 65_535])
closes = (
    st.builds(
        lambda code, reason: masked(0x88, struct.pack("!H", code) + reason), codes, st.binary(max_size=9)
    )
    | st.just(masked(0x88, b""))
    | st.just(masked(0x88, b"\x03"))
)
bad_text = st.sampled_from([b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
malformed = (
    # Not masked; a reserved bit; an unknown opcode; a control frame that is not final, or too long.
    st.sampled_from([b"\x81\x00", b"\x89\x00", b"\x81\x7e\x00\x05hello"])
    | st.builds(masked, st.sampled_from([0xC1, 0xA1, 0x91, 0xC0, 0x83, 0x87, 0x8B, 0x8F, 0x03]), binaries)
    | st.builds(masked, st.sampled_from([0x08, 0x09, 0x0A]), st.binary(max_size=20))
    | st.builds(masked, st.sampled_from([0x88, 0x89, 0x8A]), st.binary(min_size=126, max_size=200))
    # A length in more bytes than it needs.
    | st.builds(lambda payload: masked(0x82, payload, length=16), st.binary(max_size=125))
    | st.builds(lambda payload: masked(0x81, payload, length=64), st.just(200 * b"x"))
    | st.just(b"\x82\xff\x80" + 11 * b"\x00")
    # Text that is none, whole and in fragments; a fragment where none may be; a message within another.
    | st.builds(lambda text: masked(0x81, text), bad_text)
    | st.builds(lambda text: masked(0x01, text[:1]) + masked(0x80, text[1:]), bad_text)
    | st.builds(masked, st.sampled_from([0x00, 0x80]), binaries)
    | st.builds(lambda kind: masked(0x02, b"begun") + masked(kind, b"another"), st.sampled_from([1, 0x82]))
)


@st.composite
def conversations(draw: st.DrawFn) -> bytes:
    """Make all that a client sends: some that is in order, perhaps an end, perhaps something after it."""
    frames = [frame for part in draw(st.lists(orderly, max_size=6)) for frame in part]
    for part in draw(st.lists(closes | malformed, max_size=1)):
        frames.append(part)
        frames += [frame for part in draw(st.lists(orderly, max_size=2)) for frame in part]
    return b"".join(frames)


def splits(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Cut ``data`` at ``cuts`` (taken modulo its length), as a network may."""
    start = 0
    for cut in sorted(cut % (len(data) + 1) for cut in cuts):
        if cut > start:
            yield data[start:cut]
            start = cut
    if start < len(data):
        yield data[start:]


class Reader:
    """wsproto as one side of a connection: what it has been told, in order; its first close is the last."""

    def __init__(self, *, client: bool) -> None:
        self.connection = Connection(CLIENT if client else SERVER)
        self.seen: list[Seen] = []
        self.ended = False
        self._parts: list[str] | list[bytes] = []

    def feed(self, data: bytes) -> None:
        if self.ended:
            return
        self.connection.receive_data(data)
        for event in self.connection.events():
            if isinstance(event, Message):
                self._parts.append(event.data)
                if event.message_finished:
                    kind = "text" if isinstance(event, TextMessage) else "binary"
                    self.seen.append((kind, ("" if kind == "text" else b"").join(self._parts)))  # type: ignore
                    self._parts = []
            elif isinstance(event, Ping | Pong):
                self.seen.append((type(event).__name__.lower(), bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                self.seen.append(("close", int(event.code)))
                self.ended = True
                return


def seen_as(message: str | bytes) -> Seen:
    """Return what a reader has seen of ``message``."""
    return ("text", message) if isinstance(message, str) else ("binary", message)


def by_client(connection: Connection, message: str | bytes, cuts: Iterable[int]) -> list[bytes]:
    """Let wsproto, as a client, make the frames of ``message``, in fragments cut at ``cuts``."""
    bounds = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
    frames: list[bytes] = []
    for start, end in itertools.pairwise(bounds):
        last = end == len(message) and len(frames) == len(bounds) - 2
        event: TextMessage | BytesMessage
        if isinstance(message, str):
            event = TextMessage(message[start:end], message_finished=last)
        else:
            event = BytesMessage(message[start:end], message_finished=last)
        frames.append(bytes(connection.send(event)))
    return frames
