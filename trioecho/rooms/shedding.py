"""Shedding: who has to go when a server holds more for its clients than ``max_memory``."""

from __future__ import annotations

import logging
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import Protocol

import trio

from trioecho.disconnect import OVER_MEMORY, Disconnect
from trioecho.line_limiter import LineLimiter
from trioecho.rooms.holder import Holder
from trioecho.rooms.registry import Registry

__all__ = ["shed"]

ENOUGH = 7 / 8
"""What is left of the limit afterwards: looking for the one who is most behind is a walk over all."""

PAUSE = 0.1
"""How long to wait instead if nobody could go, because publishers who wait for their rooms hold it all
(seconds)."""


class Ending(Protocol):
    """Somebody who can be disconnected."""

    def disconnect(self, why: Disconnect) -> None:
        """Disconnect it, without waiting."""


async def shed(hub: Registry, connections: AbstractSet[Holder], lines: LineLimiter) -> None:
    """
    Disconnect those for whom most is held whenever all together hold too much, until cancelled.

    The most behind goes first: of what a room has sent to many it is the one who holds most that nobody else
    holds any more, and one who brings down a server by what it does not finish, or does not read, is the one
    for whom most is held. Where several servers share a hub, ``connections`` are those of this one, and one
    of the servers does it for all.
    """
    hub.connections.append(connections)
    try:
        async with hub.shedding:
            await _shed(hub, lines)
    finally:
        hub.connections = [each for each in hub.connections if each is not connections]


async def _shed(hub: Registry, lines: LineLimiter) -> None:
    memory = hub.memory
    while True:
        await memory.wait_over()
        held = memory.held
        gone = _disconnect(hub, held - memory.limit * ENOUGH)
        if gone:
            lines.log(
                logging.WARNING, "over-memory", held=held, limit=memory.limit, clients=gone, left=memory.held
            )
        else:
            await trio.sleep(PAUSE)


def _disconnect(hub: Registry, excess: float) -> int:
    """Disconnect those who hold most, until it is so many bytes; return how many had to go."""
    gone = 0
    for size, holder in sorted(holders(hub), key=itemgetter(0), reverse=True):
        if excess <= 0:
            break
        holder.disconnect(OVER_MEMORY)
        excess -= size
        gone += 1
    return gone


def holders(hub: Registry) -> list[tuple[int, Ending]]:
    """Return for whom anything is held, and how much (bytes)."""
    found: list[tuple[int, Ending]] = []
    for connections in hub.connections:
        found += [(each.held_bytes, each) for each in connections]
    found += [(member.outbox.pending_bytes, member) for member in hub.subscribers]
    return [entry for entry in found if entry[0]]
