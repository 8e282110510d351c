"""
The loyal clients, as a process: ``python -m chaos.loyal URL``.

Two publish on time and number their messages; all six check that they get each of the others' messages, once
and in order, through the client library. A line is printed when they are there. For each line on standard
input, what has been seen since the last is printed as JSON: how long messages took, and every fault.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from dataclasses import dataclass, field

import trio

from trioecho import Client, ClientError, open_client

__all__ = ["ROOM", "Seen", "Sequence"]

ROOM = "loyal"

PUBLISHERS, LISTENERS = 2, 4

INTERVAL = 0.02
"""Seconds from one message of a publisher to its next."""

MOST_FAULTS = 20
"""Faults that are told; more say nothing new."""


class Sequence:
    """What one client must get: every message of each publisher but itself, one after another."""

    def __init__(self, me: int) -> None:
        self._me = me
        self._next = {sender: 0 for sender in range(PUBLISHERS) if sender != me}

    def take(self, sender: int, number: int) -> str:
        """Take a message; returns what is wrong with it, if anything is."""
        if sender == self._me:
            return f"client {self._me} got its own message {number}"
        expected = self._next[sender]
        self._next[sender] = number + 1
        if number == expected:
            return ""
        return f"client {self._me} got message {number} of {sender} in the place of {expected}"


@dataclass
class Seen:
    """What all of them have seen: how long messages took (seconds), and what was wrong."""

    took: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def report(self) -> str:
        """Say it as JSON and begin anew."""
        took = sorted(self.took)
        shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
        told = {
            "messages": len(took),
            "faults": self.faults[:MOST_FAULTS],
            **{name: took[math.ceil(share * len(took)) - 1] if took else 0 for name, share in shares.items()},
        }
        self.took, self.faults = [], []
        return json.dumps(told)


async def publish(client: Client, me: int) -> None:
    """Publish on time; a message says when it was due."""
    due = trio.current_time()
    for number in itertools.count():
        await trio.sleep_until(due)
        await client.send(f"loyal {me} {number} {due}")
        due += INTERVAL


async def listen(client: Client, me: int, seen: Seen) -> None:
    """Check what comes; what strangers say in the room is no affair of the loyal."""
    sequence = Sequence(me)
    async for message in client:
        if isinstance(message, str) and message.startswith("loyal "):
            _, sender, number, due = message.split()
            seen.took.append(trio.current_time() - float(due))
            if fault := sequence.take(int(sender), int(number)):
                seen.faults.append(fault)


async def main() -> None:
    """Connect them, and answer standard input."""
    seen = Seen()
    ready = trio.Event()
    there = 0

    async def be(me: int) -> None:
        nonlocal there
        try:
            async with open_client(f"{sys.argv[1]}{ROOM}") as client, trio.open_nursery() as nursery:
                there += 1
                if there == PUBLISHERS + LISTENERS:
                    ready.set()
                await ready.wait()
                nursery.start_soon(listen, client, me, seen)
                if me < PUBLISHERS:
                    await trio.sleep(0.2)  # until all of them listen
                    nursery.start_soon(publish, client, me)
        except* ClientError as group:
            seen.faults.append(f"client {me} is out: {group.exceptions[0]}")

    async with trio.open_nursery() as nursery:
        for me in range(PUBLISHERS + LISTENERS):
            nursery.start_soon(be, me)
        await ready.wait()
        print("there", flush=True)
        while await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            print(seen.report(), flush=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
