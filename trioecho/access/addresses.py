"""How many connections each address has, and how much it does in a time; bounded in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

import trio

from trioecho.rates import Rate, TokenBucket

__all__ = ["AddressTable", "OverLimit", "address_key"]

MAX_IDLE = 100_000
"""Addresses without a connection that are remembered because of their rate: some 30 MB."""

EXPIRE_AT_ONCE = 2
"""Idle addresses that may be forgotten at each connection: more than one comes to be, so they run out."""

TRY_AGAIN = 1.0
"""What an address with too many connections is told to wait (seconds): nobody knows when one will end."""


@dataclass(frozen=True, slots=True)
class OverLimit:
    """Something is over a limit of its address: which one, and the seconds to wait, above 0."""

    reason: str
    retry_after: float


@lru_cache(4096)
def address_key(host: str | None) -> str | None:
    """
    Return what counts as one address: an IPv4 address, or the first 64 bits of an IPv6 address.

    A provider gives each customer 64 bits or more, who could come from each of the addresses in it. An IPv4
    address in IPv6 clothes is the IPv4 address. ``None`` for what is no address (a Unix socket).
    """
    try:
        address = ip_address((host or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return f"{IPv6Address(int(address) >> 64 << 64)}/64"
        address = address.ipv4_mapped
    return str(address)


class _Entry:
    __slots__ = ("bucket", "connections")

    def __init__(self, rate: Rate | None) -> None:
        self.connections = 0
        self.bucket = None if rate is None else TokenBucket(rate)


class AddressTable:
    """
    The connections of each address.

    An address is remembered while it has a connection, and then until its rate has recovered. Those without a
    connection are bounded: the one that has been idle for longest is forgotten first, which gives it a fresh
    start. Those with one are bounded by the connections there may be.

    Args:
        max_connections: connections an address may have at one time. ``None``: any number.
        rate: new connections an address may make. ``None``: any number.
        key: what counts as one address, given a host; ``None`` is not counted. With another, it is a table of
            something else.
        reason: what it is called when an address is over that rate.
        max_idle: addresses without a connection to remember.

    """

    def __init__(
        self,
        *,
        max_connections: int | None = None,
        rate: Rate | None = None,
        key: Callable[[str | None], str | None] = address_key,
        reason: str = "address-rate",
        max_idle: int = MAX_IDLE,
    ) -> None:
        self._max_connections = max_connections
        self._key = key
        self._reason = reason
        self._rate = rate
        self._max_idle = max_idle
        self._active: dict[str, _Entry] = {}
        self._idle: dict[str, _Entry] = {}  # the longest idle first

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._active) + len(self._idle)

    def count(self, host: str | None, amount: float = 1) -> OverLimit | None:
        """Count what happens and is over: so much of the rate. Over it, count nothing and return that."""
        over = self.connect(host, amount)
        if over is None:
            self.disconnect(host)
        return over

    def connect(self, host: str | None, amount: float = 1) -> OverLimit | None:
        """
        Count a new connection, unless it is over a limit: then return which, and count nothing.

        It takes ``amount`` of the rate. After ``None``, :meth:`disconnect` must be called once when the
        connection has ended.
        """
        self._expire()
        key = self._key(host)
        if key is None or (self._max_connections is None and self._rate is None):
            return None
        entry = self._entry(key)
        if (over := self._over(entry, amount)) is not None:
            return over
        if entry.bucket is not None:
            entry.bucket.spend(amount)
        entry.connections += 1
        self._idle.pop(key, None)
        self._active[key] = entry
        return None

    def over(self, host: str | None, amount: float = 1) -> OverLimit | None:
        """Return which limit :meth:`connect` or :meth:`count` would find exceeded now; count nothing."""
        key = self._key(host)
        return None if key is None else self._over(self._entry(key), amount)

    def _entry(self, key: str) -> _Entry:
        """Return what is remembered of an address; something new, which is not kept, if that is nothing."""
        return self._active.get(key) or self._idle.get(key) or _Entry(self._rate)

    def _over(self, entry: _Entry, amount: float) -> OverLimit | None:
        if self._max_connections is not None and entry.connections >= self._max_connections:
            return OverLimit("address-connections", TRY_AGAIN)
        if entry.bucket is not None and (wait := entry.bucket.wait_for(amount)):
            return OverLimit(self._reason, wait)
        return None

    def disconnect(self, host: str | None) -> None:
        """Count the end of a connection that was counted."""
        key = self._key(host)
        entry = None if key is None else self._active.get(key)
        if key is None or entry is None:
            return
        entry.connections -= 1
        if entry.connections:
            return
        del self._active[key]
        if entry.bucket is not None and entry.bucket.full_at > trio.current_time():
            self._idle[key] = entry
            if len(self._idle) > self._max_idle:
                del self._idle[next(iter(self._idle))]

    def _expire(self) -> None:
        """
        Forget a few of the longest idle whose rate has recovered.

        Each recovers within the same time after it became idle, so one that has not only holds up others
        for so long.
        """
        now = trio.current_time()
        for _ in range(EXPIRE_AT_ONCE):
            key = next(iter(self._idle), None)
            if key is None or (bucket := self._idle[key].bucket) is None or bucket.full_at > now:
                return
            del self._idle[key]
