"""
One publisher's messages, prepared in advance: the bytes it sends and the bytes every receiver must see.

A publisher's messages repeat after a while (a *ring*), so what a receiver gets is one endless, known stretch
of bytes. A whole read is checked with one comparison, and publishing is a slice.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from trioecho.protocol.frames import BINARY, TEXT, header, masked

__all__ = ["Messages", "find_claim", "identify"]

NUMBER = slice(0, 6)
SLOT = slice(7, 13)

CLAIM = re.compile(rb"(?<!\d)\d{6}\.\d{6}\.")
"""How every message begins, wherever in a changed one that stands."""


class Messages:
    """
    ``count`` different messages of ``size`` bytes, all carrying the publisher's ``number``.

    A message's *slot* is its place in the ring, from 0 to ``count - 1``. With ``lines`` each message goes on
    with one of these, cut or filled with blanks; without, all go on with the same noise.
    """

    def __init__(
        self, number: int, *, count: int, size: int, text: bool, lines: Sequence[bytes] = ()
    ) -> None:
        chance = random.Random(number)
        first = TEXT if text else BINARY
        tail = bytes(chance.choices(range(0x21, 0x7F), k=size)) if text else chance.randbytes(size)
        tails = [line[: size - 14].ljust(size - 14) for line in lines] or [tail[14:]]
        payloads = [
            f"{number:06}.{slot:06}.".encode() + tails[(number * count + slot) % len(tails)]
            for slot in range(count)
        ]
        head = header(first, size)
        self.number = number
        self.count = count
        self.length = len(head) + size
        """Bytes of one frame as a receiver sees it."""
        self.tag = head + payloads[0][NUMBER]
        """How each frame begins: enough to tell the publisher."""
        frames = [head + payload for payload in payloads]
        self.period = count * self.length
        self.expected = b"".join(frames) * 2
        """What a receiver sees: the ring twice, as a read that begins in the first may end in the second."""
        mask = chance.randbytes(4)
        self.outgoing = b"".join([masked(first, payload, mask) for payload in payloads])
        """What the publisher sends: the ring once."""
        self.outgoing_length = len(self.outgoing) // count
        """Bytes of one frame as the publisher sends it."""

    def frame(self, slot: int) -> bytes:
        """The frame in this slot, as a receiver sees it."""
        return self.expected[slot * self.length : (slot + 1) * self.length]


def find_claim(payload: bytes) -> int | None:
    """Return where in a payload one of our messages seems to begin; 0 if it was not changed."""
    found = CLAIM.search(payload)
    return found and found.start()


def identify(payload: bytes) -> tuple[int, int] | None:
    """Return the publisher's number and the slot that a payload claims; ``None``: it is none of ours."""
    number, slot = payload[NUMBER], payload[SLOT]
    if len(slot) == 6 and number.isdigit() and slot.isdigit():
        return int(number), int(slot)
    return None
