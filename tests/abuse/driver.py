"""One abuse as a process: ``python -m abuse.driver NAME PORT SCALE``; it prints a line once it is on."""

from __future__ import annotations

import os
import resource
import sys

import trio

from abuse.connections import CONNECTIONS
from abuse.floods import FLOODS
from abuse.readers import READERS
from abuse.target import Abuse, Target

__all__ = ["ABUSES"]


async def nothing(target: Target) -> None:
    """Leave the server alone."""
    target.ready()
    await trio.sleep_forever()


ABUSES = [Abuse("nothing", "nothing", nothing), *FLOODS, *CONNECTIONS, *READERS]
"""All there are; the first is what the others are compared with."""


def main() -> None:
    """Run it until it is killed."""
    name, port, scale = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The honest pair, on the same core, is not to wait for this process, but for the server alone.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    (abuse,) = [abuse for abuse in ABUSES if abuse.name == name]
    trio.run(abuse.drive, Target(port, scale, lambda: print("ready", flush=True)))


if __name__ == "__main__":
    main()
