"""
Large frames: taken off their mask as they come.

A frame of a MiB comes in many reads. If its mask were taken off when it is whole, the last of them would make
all the work, some milliseconds, and everybody else would wait for it.
"""

from __future__ import annotations

from typing import Final

from trioecho.protocol.frames import xor

__all__ = ["LARGE", "LARGE_HEAD", "NO_MASK", "unmask"]

LARGE_HEAD: Final = 14
LARGE: Final = LARGE_HEAD + 65_536
"""A frame of so many bytes has the long form of a head, which has so many (RFC 6455, 5.2)."""

NO_MASK: Final = bytes(4)


def unmask(held: bytearray, at: int, needed: int) -> int:
    """
    Take the mask off what ``held`` has of the frame at its start, in its place; return up to where it is off.

    The frame has ``needed`` bytes, and its mask is off up to ``at``, where its payload begins if it is new.
    Once it is whole, its mask is set to zeros: then it is the same frame to everybody who reads it.
    """
    stop = min(len(held), needed)
    if stop < needed:
        stop -= (stop - LARGE_HEAD) % 4  # the mask stays in step
    if stop <= at:  # not even the head is here, or nothing new
        return at
    held[at:stop] = xor(held[at:stop], held[LARGE_HEAD - 4 : LARGE_HEAD])
    if stop == needed:
        held[LARGE_HEAD - 4 : LARGE_HEAD] = NO_MASK
    return stop
