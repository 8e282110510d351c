"""How a server's clients are disconnected when it shuts down: over a time, or a few in each pass."""

from __future__ import annotations

import logging
from collections.abc import Collection

import trio

from trioecho.disconnect import DRAINED, Disconnect
from trioecho.log import log_event
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.state import ServerState

__all__ = ["disconnect_all", "drain"]

CLIENTS_A_TURN = 20
"""After so many that are disconnected, others get their turn: their tasks all go on in the next pass."""

SPARE = 10
"""So many that have left may be kept, beside half of all."""


async def drain(state: ServerState, seconds: float) -> None:
    """
    Disconnect those who are connected one after another, evenly over ``seconds``.

    Ten thousand clients that are closed at once come back at once, to servers that have to take them all. The
    rooms go on meanwhile for those whose turn has not come. It ends early when nobody is left.
    """
    began, there = trio.current_time(), list(state.connections)
    log_event(logging.INFO, "draining", connections=len(there), seconds=seconds)
    count = len(there)
    for number in range(count):
        await trio.sleep_until(began + seconds * number / count)
        if not state.connections:
            return
        if len(there) > 2 * len(state.connections) + SPARE:  # nothing is to be kept of those who have left
            there = [connection for connection in there if connection in state.connections]
        if there:
            there.pop().disconnect(DRAINED)


async def disconnect_all(connections: Collection[BaseConnection], why: Disconnect) -> None:
    """Disconnect all there are, also those that come out of others meanwhile, a few in each pass."""
    told: set[BaseConnection] = set()
    while left := [connection for connection in connections if connection not in told]:
        for number, connection in enumerate(left, 1):
            connection.disconnect(why)
            if number % CLIENTS_A_TURN == 0:
                await trio.lowlevel.checkpoint()
        told.update(left)
