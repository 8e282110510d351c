"""The loop waits for its sockets, and turns without waiting only while there is other work."""

from __future__ import annotations

import time
from time import perf_counter_ns

from trioecho.bench.loop import Loop
from trioecho.bench.pace import SECOND
from trioecho.bench.track import Faults


def test_a_loop_is_idle_once_its_other_work_was_taken_away() -> None:
    loop = Loop(Faults(), [])
    loop.background = lambda: True
    loop.run(perf_counter_ns() + SECOND // 20, lambda now: False)
    loop.background = None
    before = time.thread_time()
    loop.run(perf_counter_ns() + SECOND, lambda now: False)
    assert time.thread_time() - before < 0.05
    loop.close()
