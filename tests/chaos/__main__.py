"""
Have hundreds of clients do everything wrong around a few loyal ones: ``python -m tests.chaos --minutes 3``.

They connect, publish, stall, trickle, reset, send garbage and half-close; run by root, some are in a network
of their own whose cable is pulled. The loyal must get everything, in order, and at most twice as late as
undisturbed, and at the end the server must be made of as much as at the beginning. The exit code is 1 if not.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

# The tests' own packages, as pytest finds them too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from chaos.trial import run


def main() -> int:
    """Run it as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="how long (default 3)")
    parser.add_argument("--calm", type=float, default=20.0, help="seconds undisturbed before it (default 20)")
    parser.add_argument("--clients", type=int, default=300, help="how many of them (default 300)")
    parser.add_argument("--seed", type=int, help="what chance begins with (default: by chance)")
    parser.add_argument("--ping", type=float, default=3.0, help="seconds between its pings (default 3)")
    wanted = parser.parse_args()
    if not 0 < wanted.minutes <= 600 or not 0 < wanted.calm <= 600 or not 5 <= wanted.clients <= 5000:
        parser.error("--minutes is up to 600, --calm up to 600 seconds, --clients from 5 to 5000")
    if not 0.1 <= wanted.ping <= 60:
        parser.error("--ping is from 0.1 to 60 seconds")
    seed = random.randrange(10_000) if wanted.seed is None else wanted.seed
    print(f"{wanted.clients} clients for {wanted.minutes:g} minutes, --seed {seed}", flush=True)
    outcome = run(
        seconds=wanted.minutes * 60,
        calm=wanted.calm,
        clients=wanted.clients,
        seed=seed,
        ping=wanted.ping,
    )
    for line in outcome.lines():
        print(line)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
