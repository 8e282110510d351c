"""
Measure what honest clients see while others abuse the server: ``python -m tests.abuse [NAME...]``.

Each abuse gets a fresh ``trioecho serve`` on the machine's first core. On the last one there are those who
abuse it, and a pair of clients in a room of their own whose round trips are timed. It prints a Markdown
table; the exit code is 1 if a goal was missed or something was wrong.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from pathlib import Path

# The tests' own packages, as pytest finds them too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.pinned import CORES

from abuse.driver import ABUSES
from abuse.table import HEADER, row
from abuse.trial import measure


def main() -> int:
    """Measure what the command line asks for; returns the exit code."""
    names = [abuse.name for abuse in ABUSES]
    parser = argparse.ArgumentParser(
        prog="python -m tests.abuse",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"There are {', '.join(names)}.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure (default: all)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each (default 10)")
    parser.add_argument("--scale", type=float, default=1.0, help="less of each: 0.1 is a tenth (default 1)")
    wanted = parser.parse_args()
    if unknown := set(wanted.names) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    if not 0.1 <= wanted.seconds <= 600 or not 0 < wanted.scale <= 1:
        parser.error("--seconds is from 0.1 to 600, and --scale from above 0 to 1")
    if len(CORES) < 2:
        print("only one core: the server and those who abuse it share it", file=sys.stderr)
    print(HEADER, flush=True)
    met = True
    for abuse in ABUSES:
        if not wanted.names or abuse.name in wanted.names:
            result = measure(abuse, seconds=wanted.seconds, scale=wanted.scale)
            print(row(result), flush=True)
            met = met and result.met
    command = shlex.join(["python", "-m", "tests.abuse", *sys.argv[1:]])
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", end=", ")
    print(f"{platform.system()} {platform.release()}, Python {platform.python_version()}: `{command}`")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
