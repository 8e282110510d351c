"""
Gathering: how a room's messages come together to go out as one write.

What decides its speed is how messages gather. A fan-out costs much the same whether it carries one message or
a hundred, because what costs is the system call for each member. So everything that has arrived goes out as
one write. That alone does not help when a fan-out to a few hundred takes a millisecond and messages come in
one by one: each would be fanned out alone, the room would fall behind, and only then would there be something
to join. Therefore a room under load waits for more, as long as its last fan-out took, five milliseconds at
most: the latency of one fan-out buys that the next carries twice as much. Two things bound the price. A
message that comes alone never waits: only a fan-out of several lets the next one gather. And gathering ends
when the scheduler has gone round a few times without bringing anything, because then everybody waits for us.

There are three bounds on what one fan-out joins, each explained where it is named below: batches, bytes, and
for rooms in which everybody talks, their product.
"""

from __future__ import annotations

import trio

from trioecho.rooms.batch import Batch
from trioecho.rooms.bounds import FAN_OUT_BATCHES, FAN_OUT_CUTS, IDLE_PASSES, LONGEST_GATHER
from trioecho.rooms.inbox import Inbox

__all__ = ["gather"]


async def gather(inbox: Inbox, taken: list[Batch], most: int, cost: float) -> None:
    """
    Wait for messages, then take all that have arrived; under load, wait for more to arrive.

    So many bytes at ``most``. ``cost`` is what the last fan-out took (seconds), 0 if it was of one message.
    """
    await inbox.wait()
    until = 0.0
    if cost:
        until = trio.current_time() + min(cost, LONGEST_GATHER)
    size = idle = 0
    while size < most and len(taken) < FAN_OUT_BATCHES and len(taken) * size < FAN_OUT_CUTS:
        if batch := inbox.take():
            idle = 0
            taken.append(batch)
            size += batch.size
        else:
            idle += 1
            if not until or idle > IDLE_PASSES or trio.current_time() >= until:
                break
            await trio.lowlevel.checkpoint()
    inbox.admit()
