"""Something is run again and again, each time cancelled one step later, and must leave nothing behind."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

__all__ = ["Scenario", "cancel_at_every_step"]

MOST_STEPS = 3000
"""A scenario that takes more has a loop in it that does not end."""

CACHED = {"trioecho.access.hosts.Authority"}
"""What is kept of the last requests, up to a bound; each server here has another port."""

Scenario = Callable[[], Awaitable[None]]


class CancelAt(trio.abc.Instrument):
    """Cancels ``scope`` before the step with this number of any task, the first being 1."""

    def __init__(self, number: int) -> None:
        self.scope = trio.CancelScope()
        self.left = number

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


class Errors(logging.Handler):
    """Keeps what is logged as an error: a failure of our own that was caught, and ended something."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@contextmanager
def no_errors_logged() -> Iterator[None]:
    errors, logger = Errors(), logging.getLogger("trioecho")
    logger.addHandler(errors)
    try:
        yield
    finally:
        logger.removeHandler(errors)
    assert not errors.said, "\n".join(errors.said)


def what_is_left() -> dict[str, int]:
    """Count the objects of ours that are still there."""
    gc.collect()
    found: dict[str, int] = {}
    for each in gc.get_objects():
        # Not of every class is it a string: some metaclasses of libraries have a descriptor there.
        module = type(each).__module__
        if isinstance(module, str) and module.startswith("trioecho.") and not isinstance(each, type):
            name = f"{module}.{type(each).__qualname__}"
            found[name] = found.get(name, 0) + 1
    return found


def run_cancelled(scenario: Scenario, at: int) -> bool:
    """Run a scenario that is cancelled at a step; return whether it was over before."""
    instrument = CancelAt(at)

    async def main() -> None:
        tasks = trio.lowlevel.current_statistics().tasks_living
        with instrument.scope:
            await scenario()
        assert trio.lowlevel.current_statistics().tasks_living == tasks

    trio.run(main, instruments=[instrument])
    return not instrument.scope.cancelled_caught and instrument.left > 0


def cancel_at_every_step(scenario: Scenario) -> None:
    """
    Cancel a scenario at each of its steps in turn.

    Tasks, descriptors and objects are the same afterwards as before, and no error has been logged.
    """
    assert run_cancelled(scenario, MOST_STEPS)
    before, files = what_is_left(), os.listdir("/proc/self/fd")
    for step in range(1, MOST_STEPS):
        try:
            with no_errors_logged():
                last = run_cancelled(scenario, step)
        except BaseException as error:
            error.add_note(f"cancelled at step {step}")
            raise
        assert len(os.listdir("/proc/self/fd")) == len(files), f"cancelled at step {step}"
        if last:
            break
    else:
        raise AssertionError("it never ended")
    after = what_is_left()
    more = {name: number for name, number in after.items() if number > before.get(name, 0)}
    assert more.keys() <= CACHED, more
