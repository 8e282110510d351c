"""
The load generator, spread over several servers that share their rooms: ``python spread_load.py JSON``.

The publishers of a room are at one server, and its subscribers at all in turn, beginning with the next: so
what is measured goes through whatever the servers share. It prints the report of ``trioecho bench`` with what
each group of processes used meanwhile. When it has connected it says so, and waits for a line.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Mapping, Sequence

from trioecho.bench.dial import Dialler, find_route
from trioecho.bench.load import Load, Seat
from trioecho.bench.plan import Plan
from trioecho.bench.process import cpu_seconds
from trioecho.bench.report import Report
from trioecho.bench.sources import Sources
from trioecho.bench.target import Target

CONNECTED = "connected"


class SpreadLoad(Load):
    """A load on several servers; ``used`` is the CPU time of groups of processes at each moment."""

    def __init__(self, plan: Plan, targets: Sequence[Target], watched: Mapping[str, Sequence[int]]) -> None:
        super().__init__(plan, targets[0])
        self.used: dict[str, dict[str, float]] = {}
        self._targets = targets
        self._watched = watched

    def _connect(self, seats: Sequence[Seat]) -> None:
        """Connect each seat to its server."""
        plan, servers = self.plan, len(self._targets)
        mine: list[list[Seat]] = [[] for _ in self._targets]
        for number, seat in enumerate(seats):
            # After one round over the rooms, subscribers are a server further.
            further = 0 if number >= plan.subscribers else number // plan.rooms + 1
            mine[(seat.room + further) % servers].append(seat)
        for target, its in zip(self._targets, mine, strict=True):
            if not its:
                continue
            first, *rest = (target.room(seat.room, plan.rooms) for seat in its)
            route, dialled = find_route(target, first, Sources((), plan.connections))
            self._take(its[0], dialled, {})
            with Dialler(route, rest, at_once=plan.at_once) as dialler:
                for number, made in dialler.run():
                    if isinstance(made, Exception):
                        raise made
                    self._take(its[number + 1], made, {})
        self._sample("made")
        print(CONNECTED, flush=True)
        sys.stdin.readline()  # until all other load generators are connected, too

    def _sample(self, moment: str) -> None:
        super()._sample(moment)
        self.used[moment] = {
            name: sum(cpu_seconds(pid) for pid in pids) for name, pids in self._watched.items()
        }

    def between(self) -> dict[str, float]:
        """Return what was used while it was measured (seconds)."""
        begin, end = self.used["begin"], self.used["end"]
        return {name: end[name] - begin[name] for name in begin}


def main() -> None:
    """Do what the argument says: ``plan``, ``urls`` and ``watched``."""
    wanted = json.loads(sys.argv[1])
    gc.disable()  # as the command does: nothing here is cyclic, and a pause would be taken for the server's
    load = SpreadLoad(
        Plan(**wanted["plan"]), [Target.parse(url) for url in wanted["urls"]], wanted["watched"]
    )
    load.run()
    print(json.dumps({**Report(load).figures(), "used": load.between()}))


if __name__ == "__main__":
    main()
