"""Bounds of a room: how much waits in it, and how much one fan-out joins."""

from __future__ import annotations

__all__ = [
    "FAN_OUT_BATCHES",
    "FAN_OUT_BYTES",
    "FAN_OUT_CUTS",
    "IDLE_PASSES",
    "INBOX_BYTES",
    "LONGEST_GATHER",
]

INBOX_BYTES = 4 * 2**20
"""What may wait in a room to be fanned out (bytes), or as much as for one client, if that is less; beyond
that its publishers wait in a line, which their clients feel as TCP backpressure. One batch may go over it: a
read of a client (64 KiB), or a larger message."""

FAN_OUT_BATCHES = 256
"""Batches that one fan-out joins: enough that a write's fixed cost is spread thin."""

FAN_OUT_BYTES = 512 * 1024
"""And bytes: much more than a socket takes at once would only move the queue from here to the outboxes. With
64 messages of 4 KiB in flight, half as much cost 15 % more CPU, and twice as much 5 %."""

FAN_OUT_CUTS = 8 * 2**20
"""And batches times bytes, because each sender's own messages are cut out of what it gets: where everybody
talks, so much is copied for them, in some four milliseconds."""

LONGEST_GATHER = 0.005
"""The longest that messages are held back to be joined (seconds); only under load."""

IDLE_PASSES = 3
"""Gathering ends when so many passes of the scheduler in a row brought nothing new."""
