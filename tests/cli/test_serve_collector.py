"""The command has the garbage collector run seldom, and never for long."""

from __future__ import annotations

import gc
import time

from trioecho.cli.serve import COLLECTOR_THRESHOLDS

LONG = 0.01
"""What nobody should wait for it (seconds); on a quiet machine a run takes a tenth of that."""


def test_a_run_of_the_garbage_collector_holds_nobody_up() -> None:
    def run() -> float:
        made = [[number] for number in range(COLLECTOR_THRESHOLDS[0])]
        began = time.perf_counter()
        gc.collect(0)
        took = time.perf_counter() - began
        assert made
        return took

    gc.disable()
    try:
        assert min(run() for _ in range(5)) < LONG
    finally:
        gc.enable()
