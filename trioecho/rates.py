"""How much in a time: a rate, and the bucket that holds somebody to it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import trio

from trioecho.options import OptionError

__all__ = ["Rate", "TokenBucket"]

UNITS = {"": 1, "B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}

MAX_AMOUNT = 2**40
"""More than any line carries; it keeps the arithmetic exact enough."""

AMOUNT = r"([0-9]{1,13}(?:\.[0-9]{1,6})?)([a-zA-Z]{0,3})"
RATE = re.compile(rf"\s*{AMOUNT}/([smh])(?::{AMOUNT})?\s*")

TOLERANCE = 1e-6
"""What is due within a microsecond is due: a wait of exactly the time that was told must be enough, and the
clock of a machine that is up for years is no finer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """
    So much in a second, and so much at once.

    Attributes:
        per_second: how much a second in the long run; messages, bytes or connections. Above 0.
        burst: how much at once after a pause. At least 1.

    Raises:
        OptionError: a value is out of its bounds.

    """

    per_second: float
    burst: float

    def __post_init__(self) -> None:
        """Check both."""
        if not 1 / MAX_AMOUNT <= self.per_second <= MAX_AMOUNT:
            raise OptionError("rate", f"must be above 0 and at most {MAX_AMOUNT} a second")
        if not 1 <= self.burst <= MAX_AMOUNT:
            raise OptionError("rate", f"must have a burst from 1 to {MAX_AMOUNT}")

    @classmethod
    def of(cls, rate: Rate | str | None) -> Rate | None:
        """Return a rate that may stand as text, as in settings, which have checked it."""
        return cls.parse(rate, sizes=True) if isinstance(rate, str) else rate

    @classmethod
    def parse(cls, text: str, *, option: str = "rate", sizes: bool = False) -> Rate:
        """
        Parse ``20/s``, ``100/m``, ``0.5/s``, ``5000/h``; ``20/s:40`` with a burst of its own.

        Without one, the burst is the amount before the slash, and at least 1: ``20/s`` is 20 at once,
        ``100/m`` is 100 at once.

        Args:
            text: the rate.
            option: the option it is the value of, for errors.
            sizes: whether the amounts are bytes, which may have units: ``256KiB/s:1MiB``.

        Raises:
            OptionError: it is no rate, or out of its bounds.

        """
        found = RATE.fullmatch(text)
        example = "256KiB/s or 256KiB/s:1MiB" if sizes else "20/s, 100/m or 20/s:40"
        problem = f"must be an amount and a time, as in {example}, not {text!r}"
        if found is None:
            raise OptionError(option, problem)
        amount, unit, period, burst, burst_unit = found.groups()
        units = UNITS if sizes else {"": 1}
        if unit.upper() not in units or (burst_unit or "").upper() not in units:
            raise OptionError(option, problem)
        much = float(amount) * units[unit.upper()]
        at_once = max(1.0, much) if burst is None else float(burst) * units[burst_unit.upper()]
        try:
            return cls(much / PERIODS[period], at_once)
        except OptionError as error:
            raise OptionError(option, error.problem) from None


class TokenBucket:
    """
    Holds somebody to a rate, under trio's clock.

    The bucket starts full, with a burst in it, and fills at the rate. All that is kept is the time at which
    it will be full again (the generic cell rate algorithm), so nothing runs while nobody asks, no fraction of
    a second is lost between two questions, and each question is a few operations.
    """

    __slots__ = ("_full_at", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at = -math.inf

    @property
    def full_at(self) -> float:
        """When the bucket is, or was, full again (trio time); from then on it is as good as a new one."""
        return self._full_at

    def take(self, amount: float = 1) -> float:
        """
        Take ``amount`` out if it is there, and return 0; else take nothing, and return the seconds to wait.

        After so many seconds, if nobody else takes anything, the same amount can be taken. More than a burst
        can be taken when the bucket is full, and is owed then; so every wait has an end.
        """
        wait = self.wait_for(amount)
        if not wait:
            self.spend(amount)
        return wait

    def wait_for(self, amount: float = 1) -> float:
        """Return the seconds until :meth:`take` would take ``amount``, and take nothing."""
        return self._owed(trio.current_time(), min(amount, self._rate.burst))

    def spend(self, amount: float = 1) -> float:
        """
        Take ``amount`` out whether it is there or not, and return the seconds until nothing is owed.

        For what has happened already: who reads a message and then waits for so long keeps to the rate.
        """
        now = trio.current_time()
        self._full_at = max(self._full_at, now) + amount / self._rate.per_second
        return self._owed(now, 0)

    def _owed(self, now: float, amount: float) -> float:
        """Return the seconds until ``amount`` is in the bucket."""
        missing = (max(self._full_at, now) - now) + (amount - self._rate.burst) / self._rate.per_second
        return missing if missing > TOLERANCE else 0.0
