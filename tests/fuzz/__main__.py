"""
Bring bytes to a door for long, led by what they reach in the code: ``python -m tests.fuzz NAME SECONDS``.

The bytes are made by atheris, which is not installed with the tests: ``pip install atheris`` does that. What
it finds it writes to the current folder, as ``crash-...``; naming that file in the place of the seconds runs
it once more.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# The tests' own packages, as pytest finds them too.
sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.words import WORDS

LONGEST = 86_400


def main() -> int:
    """Run it; returns the exit code, if atheris does not end the process."""
    problem = _problem(sys.argv[1:])
    if problem:
        print(f"usage: python -m tests.fuzz NAME SECONDS (or FILE)\n{problem}", file=sys.stderr)
        return 2
    from fuzz.target import fuzz

    name, what = sys.argv[1:]
    fuzz(name, [what] if Path(what).is_file() else [f"-max_total_time={what}"])
    return 0


def _problem(arguments: list[str]) -> str:
    """Say what is wrong with the arguments, or with the installation; nothing if all is well."""
    if len(arguments) != 2:
        return f"NAME is one of {', '.join(WORDS)}"
    name, what = arguments
    if name not in WORDS:
        return f"there is no door {name}; there are {', '.join(WORDS)}"
    if not Path(what).is_file() and not (what.isascii() and what.isdigit() and 1 <= int(what) <= LONGEST):
        return f"SECONDS is a number from 1 to {LONGEST}, and {what} is no file either"
    if importlib.util.find_spec("atheris") is None:
        return "atheris is not installed: pip install atheris"
    return ""


if __name__ == "__main__":
    sys.exit(main())
