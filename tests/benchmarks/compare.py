"""
Compare trioecho with other WebSocket servers at the same work: ``python tests/benchmarks/compare.py``.

Each server runs alone on the machine's first core, the load generator (``trioecho bench``) on its last.
Every measurement has a fresh server; the servers take turns, every other round in the reverse order, so that
what else the machine does hits all alike. A figure is the median of the rounds, and a ratio the median of the
rounds' ratios. Every delivery is checked. Nothing but loopback is used.

The peers are installed from PyPI and npm into a folder outside the repository, once. One that cannot be had
is left out, with the reason. The programs in ``servers/`` are the smallest honest broadcast server of each
library.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from homes import DEFAULT, Homes, NotToBeHad
from peers import PEERS, Peer
from rows import ROWS, Row
from table import Results, machine
from trial import CORES, measure


def main() -> None:
    """Measure and print."""
    wanted = _arguments()
    homes = Homes(wanted.home.expanduser())
    wanted.home.expanduser().mkdir(parents=True, exist_ok=True)
    peers, missing = _prepared([peer for peer in PEERS if peer.name in wanted.peers], homes)
    rows = [row for row in ROWS if row.name in wanted.rows]
    results = Results([peer.name for peer in peers])
    unable: set[tuple[str, str]] = set()
    options = ["--duration", f"{wanted.duration:g}", "--warmup", f"{wanted.warmup:g}"]
    for number in range(wanted.rounds):
        for row in rows:
            for peer in reversed(peers) if number % 2 else peers:
                if (row.name, peer.name) in unable:
                    continue
                if row.concerns(peer.name, goals_only=wanted.goals_only):
                    _say(f"round {number + 1} of {wanted.rounds}: {row.name}, {peer.name}")
                    if not _measured(row, peer, homes, options, results, wanted.limit):
                        unable.add((row.name, peer.name))
    facts = {
        **machine(),
        "command": shlex.join(["python", *sys.argv]),
        "servers": [peer.version(homes) for peer in peers],
        "left_out": missing,
    }
    if wanted.json:
        print(json.dumps({**facts, "results": results.plain(rows)}, indent=1))
        return
    print(results.goals(rows) if wanted.goals_only else results.markdown(rows))
    print()
    print(f"{facts['date']}, {facts['cpu']}, {facts['cores']} cores, {facts['kernel']}.")
    print(f"Servers: {'; '.join(facts['servers'])}.")
    for name, reason in missing.items():
        print(f"Left out: {name}: {reason}.")
    print(f"Made by: {facts['command']}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.name for row in ROWS]
    parser.add_argument(
        "--rows", nargs="+", choices=names, default=names, metavar="ROW", help=", ".join(names)
    )
    names = [peer.name for peer in PEERS]
    parser.add_argument(
        "--peers", nargs="+", choices=names, default=names, metavar="PEER", help=", ".join(names)
    )
    parser.add_argument(
        "--goals-only", action="store_true", help="of each row, only the servers that its goal speaks of"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of everything (default 3)")
    parser.add_argument("--duration", type=float, default=3.0, help="seconds a measurement (default 3)")
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds before it (default 1)")
    parser.add_argument("--limit", type=float, default=120.0, help="most seconds for one run (default 120)")
    parser.add_argument("--home", type=Path, default=DEFAULT, help=f"the environments (default {DEFAULT})")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    if wanted.rounds < 1 or not 0.1 <= wanted.duration <= 600 or not 0 <= wanted.warmup <= 600:
        parser.error("at least one round, and durations of 0.1 to 600 seconds, can be measured")
    if len(CORES) < 2:
        _say("only one core: servers and load generator share it, so only CPU figures mean something")
    return wanted


def _prepared(wanted: list[Peer], homes: Homes) -> tuple[list[Peer], dict[str, str]]:
    """The peers that can be had, and why the others cannot."""
    peers, missing = [], {}
    for peer in wanted:
        _say(f"preparing {peer.name}")
        try:
            peer.prepare(homes)
        except NotToBeHad as reason:
            missing[peer.name] = str(reason)
            _say(f"left out: {reason}")
        else:
            peers.append(peer)
    return peers, missing


def _measured(row: Row, peer: Peer, homes: Homes, options: list[str], results: Results, limit: float) -> bool:
    """Measure one row with one peer; says whether it is worth doing again."""
    try:
        if row.corpus:
            options = [*options, "--compress", "--lines", str(homes.corpus(row.corpus))]
        reports = [
            measure(
                peer,
                homes,
                [*options, *run.split()],
                tls=row.tls,
                limit=limit,
                environment=row.environment,
            )
            for run in row.runs
        ]
    except NotToBeHad as reason:
        results.leave_out(row, peer.name, str(reason))
        _say(f"  could not: {reason}")
        return False
    results.add(row, peer.name, reports)
    for figure in row.figures:
        _say(f"  {figure.name}: {figure.of(reports):,.{figure.digits}f}")
    problems = [problem for report in reports for problem in report["problems"]]
    for problem in problems:
        _say(f"  {problem}")
    return not problems


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
