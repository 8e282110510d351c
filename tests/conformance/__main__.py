"""
Check trioecho against the Autobahn|Testsuite: ``python -m tests.conformance``.

Its fuzzing client tries our server, plain and over TLS, and its fuzzing server tries our client library. The
suite and the Python 2.7 environment that it needs are installed once, outside the repository; Python 2.7
itself must be there. The exit code is 1 if any case failed, was closed wrongly, or did not run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import trio

# The tests' own packages, as pytest finds them too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from conformance.report import Report
from conformance.sides import SIDES, Side
from conformance.suite import DEFAULT, Suite, SuiteError

EVERYTHING = "*"


async def check(sides: list[Side], suite: Suite, cases: list[str], folder: Path) -> bool:
    """Run the sides one after another and print what came of each; says whether all is well."""
    well = True
    for side in sides:
        print(f"{side.name}: {side.what}", flush=True)
        out = folder / side.name
        out.mkdir(parents=True, exist_ok=True)
        report = Report.read(out, await side.run(suite, cases, out))
        for line in report.lines():
            print(f"  {line}")
        well = well and report.well
    return well


def main() -> int:
    """Run what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [side.name for side in SIDES]
    parser.add_argument("sides", nargs="*", metavar="SIDE", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument(
        "--case", action="append", metavar="PATTERN", help="only these cases, such as 6.* (repeatable)"
    )
    parser.add_argument("--home", type=Path, default=DEFAULT, help=f"where the suite is (default {DEFAULT})")
    parser.add_argument("--python27", metavar="PATH", help="the Python 2.7 to install it with")
    parser.add_argument("--reports", type=Path, metavar="FOLDER", help="keep the suite's own reports here")
    wanted = parser.parse_args()
    if unknown := set(wanted.sides) - set(names):
        parser.error(f"there are {', '.join(names)}, and no {', '.join(sorted(unknown))}")
    sides = [side for side in SIDES if not wanted.sides or side.name in wanted.sides]
    with ExitStack() as stack:
        folder = wanted.reports or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        try:
            suite = Suite.installed(wanted.home.expanduser(), wanted.python27)
            well = trio.run(check, sides, suite, wanted.case or [EVERYTHING], folder.resolve())
        except SuiteError as error:
            print(f"conformance: {error}", file=sys.stderr)
            return 2
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
