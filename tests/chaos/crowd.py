"""
The chaotic, as a process: ``python -m chaos.crowd URL COUNT SEED``.

So many clients, each of which does one thing after another by chance, until it is killed. It prints how many
things they have done, once a second.
"""

from __future__ import annotations

import os
import random
import resource
import sys

import trio

from chaos.behaviors import BEHAVIORS

__all__ = ["be_chaotic"]

MOST = 15.0
"""Seconds for one thing, so that nobody waits for a server that has forgotten them."""


async def be_chaotic(url: str, chance: random.Random, done: list[str]) -> None:
    """Do one thing after another, for ever; what they were is added to ``done``."""
    while True:
        behave = chance.choice(BEHAVIORS)
        try:
            with trio.move_on_after(MOST):
                await behave(url, chance)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, AssertionError):
            pass  # cut, refused, or answered in another way than expected: all of it may be right
        done.append(behave.__name__)
        await trio.sleep(chance.uniform(0, 0.5))


async def main() -> None:
    """Run them until killed."""
    url, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    done: list[str] = []
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(be_chaotic, url, random.Random(seed * 100_000 + number), done)
        while True:
            await trio.sleep(1)
            print(len(done), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the loyal do not wait for this process
    trio.run(main)
