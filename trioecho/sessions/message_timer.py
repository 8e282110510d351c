"""
The message timer: one task ends clients whose message does not get finished.

It looks at all clients from time to time rather than setting a clock for each message: a read often ends in
the middle of a message, and those who keep up are to pay nothing for those who do not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import trio

from trioecho.disconnect import UNFINISHED
from trioecho.sessions.base_connection import BaseConnection

__all__ = ["end_unfinished"]

LOOKS = 8
"""How often everybody is looked at within the timeout; so much later, at most, one is found."""

STRIDE = 1000
"""Looking lets other tasks run after so many clients: a tenth of a millisecond."""


async def end_unfinished(connections: Collection[BaseConnection], longest: float) -> None:
    """Disconnect those whose message began more than ``longest`` seconds ago (0: never), until cancelled."""
    if not longest:
        return
    while True:
        await trio.sleep(longest / LOOKS)
        await _look(tuple(connections), longest)


async def _look(connections: Sequence[BaseConnection], longest: float) -> None:
    """Look at everybody once, and keep nobody in memory afterwards."""
    for number, connection in enumerate(connections):
        if number % STRIDE == STRIDE - 1:
            await trio.lowlevel.checkpoint()
        if connection.message_age() > longest:
            connection.disconnect(UNFINISHED)
