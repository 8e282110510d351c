"""The policy for reconnecting after a connection is lost: when, after how long, and when not."""

from __future__ import annotations

import email.utils
import random
import time
from dataclasses import dataclass

from trioecho.client.close_info import CloseInfo
from trioecho.client.errors import (
    CertificateNotTrusted,
    ConnectFailed,
    ConnectionClosed,
    NotWebSocket,
    Rejected,
)
from trioecho.disconnect import EXPIRED
from trioecho.limits import LONGEST_WAIT
from trioecho.options import OptionError

__all__ = ["Reconnect"]

FINAL = frozenset([1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010])
"""
Close codes after which a server would say the same again: it is done (1000, 1005), or minds what we do. Codes
of an application's own (from 3000) are final too, because only the application knows what they mean.
"""

STEADY = 10.0
"""A connection that lasted so long (seconds) was a good one: the delays begin anew."""

MOST_DOUBLINGS = 60
"""Past this many, a delay is at any cap there may be; it keeps the arithmetic finite."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reconnect:
    """
    Exponential backoff with full jitter: the n-th wait is random between 0 and ``first_delay * 2 ** n``.

    Spread over the whole range, a thousand clients of one restarted server do not reconnect in waves
    (M. Brooker, "Exponential backoff and jitter"). Times are seconds.

    Raises:
        OptionError: a value is out of its bounds.

    """

    first_delay: float = 1.0
    """The first wait is at most this long."""

    longest_delay: float = 60.0
    """No wait is longer, unless the server asked for one (Retry-After)."""

    attempts: int | None = None
    """Give up after so many failed attempts in a row; None: never."""

    def __post_init__(self) -> None:
        """Check every value."""
        for option in ("first_delay", "longest_delay"):
            value = getattr(self, option)
            if not isinstance(value, (int, float)) or not 0 < value <= LONGEST_WAIT:
                raise OptionError(option, f"must be seconds from above 0 to {LONGEST_WAIT:g}, not {value!r}")
        if self.attempts is not None and (not isinstance(self.attempts, int) or self.attempts < 1):
            raise OptionError("attempts", f"must be a whole number from 1, not {self.attempts!r}")

    def delay(self, attempt: int, error: Exception | None = None) -> float:
        """
        How long to wait before the attempt with this number, the first being 0, after this error.

        Not at all where a token has expired: who has a fresh one is expected back. If that does not help
        either, it is the next attempt, and waits.
        """
        if not attempt and isinstance(error, ConnectionClosed) and error.code == EXPIRED.code:
            return 0.0
        backoff = min(self.longest_delay, self.first_delay * 2 ** min(attempt, MOST_DOUBLINGS))
        return max(random.uniform(0, backoff), retry_after(error) or 0.0)

    def after_end(self, close_info: CloseInfo, *, fresh_token: bool = False) -> bool:
        """
        Whether to reconnect after a connection that ended like this.

        Where there can be a fresh token, also if the old one has expired (4401).
        """
        final = close_info.code in FINAL or close_info.code >= 3000
        if fresh_token and close_info.code == EXPIRED.code:
            final = False
        return not close_info.by_us and not close_info.broken_off and not final

    def after_failure(self, error: ConnectFailed, attempt: int, *, fresh_token: bool = False) -> bool:
        """
        Whether to try again after this attempt failed.

        Not when the server's certificate is wrong, when it is no WebSocket server, or when it rejected us
        with anything but a 5xx; except that a server that sends Retry-After expects us back, and that after
        a 401 there may be a fresh token.
        """
        if self.attempts is not None and attempt + 1 >= self.attempts:
            return False
        if isinstance(error, Rejected):
            if error.status == 401 and fresh_token:
                return True
            return error.status >= 500 or retry_after(error) is not None
        return not isinstance(error, (CertificateNotTrusted, NotWebSocket))


def retry_after(error: Exception | None) -> float | None:
    """Return what a rejection says in Retry-After (RFC 9110, section 10.2.3), in seconds, at most a day."""
    if not isinstance(error, Rejected):
        return None
    said = dict(error.headers).get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said[:10]), LONGEST_WAIT)
    try:
        until = email.utils.parsedate_to_datetime(said).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(until - time.time(), 0.0), LONGEST_WAIT)
