"""
What one address may do: connections at one time, new ones, new rooms, and what it publishes by POST.

Rooms can also be counted by the name of who opens them: who has many addresses, or none, has one name.

The address is the client's own: over a trusted proxy it is the one that the proxy names, in a PROXY header or
in a request's. What such a proxy does on its own account is not limited, and neither is what has no address,
as a Unix socket.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from trioecho.access.addresses import AddressTable, OverLimit, address_key
from trioecho.http.forwarded import TrustedProxies
from trioecho.http.response import HTTPError, Response, error_response
from trioecho.rates import Rate
from trioecho.settings import Fairness

__all__ = ["AddressLimits", "Place", "refusal"]

TEXTS = {
    "address-connections": "There are too many connections from your address.",
    "address-rate": "There are too many new connections from your address: try again later.",
    "address-rooms": "Your address opens too many rooms: try again later.",
    "name-rooms": "Clients of your name open too many rooms: try again later.",
    "over-rate": "Your address publishes too much: try again later.",
}


class AddressLimits:
    """What each address may do on one server, and has done; what is not limited is not counted."""

    def __init__(self, settings: Fairness, trusted: TrustedProxies | None = None) -> None:
        self.trusted = trusted or TrustedProxies()
        most, rate = settings.max_connections_per_address, Rate.of(settings.connection_rate_per_address)
        self._connections: AddressTable | None = None
        if most or rate is not None:
            self._connections = AddressTable(max_connections=most or None, rate=rate)
        self._rooms = _table(settings.room_rate_per_address, "address-rooms")
        self._rooms_by_name = _table(settings.room_rate_per_name, "name-rooms", key=_itself)
        self._posts = _table(settings.rate, "over-rate")
        self._post_bytes = _table(settings.rate_bytes, "over-rate")

    def place(self) -> Place | None:
        """Return a place for a connection to be counted in; ``None`` if connections are not limited."""
        return None if self._connections is None else Place(self._connections, self.trusted)

    def check_new_room(self, host: str, name: str | None) -> None:
        """
        Count a room that is to be opened by a client from ``host``, which may have a ``name``.

        It counts for both or for neither: a name that is over its rate doesn't use up that of the address,
        which others may share.

        Raises:
            HTTPError: it would be one too many.

        """
        if self._rooms_by_name is not None and (over := self._rooms_by_name.over(name)) is not None:
            raise HTTPError(refusal(over), cause=over.reason)
        self._check(self._rooms, host)
        if self._rooms_by_name is not None:
            self._rooms_by_name.count(name)

    def check_post(self, host: str) -> None:
        """
        Count a POST to a room, before its body is read.

        Raises:
            HTTPError: it is over the rate of messages.

        """
        self._check(self._posts, host)

    def check_post_bytes(self, host: str, size: int) -> None:
        """
        Count the bytes of such a message.

        Raises:
            HTTPError: they are over the rate of bytes.

        """
        self._check(self._post_bytes, host, size)

    def _check(self, table: AddressTable | None, host: str, amount: float = 1) -> None:
        if table is not None and host not in self.trusted and (over := table.count(host, amount)) is not None:
            raise HTTPError(refusal(over), cause=over.reason)


class Place:
    """One connection's place among those of its address."""

    __slots__ = ("_host", "_table", "_trusted")

    def __init__(self, table: AddressTable, trusted: TrustedProxies) -> None:
        self._table = table
        self._trusted = trusted
        self._host: str | None = None

    def take(self, host: str) -> OverLimit | None:
        """
        Count the connection as one of ``host``, and no longer of another, unless that is over a limit.

        Returns which, if so. A proxy may send the requests of several clients over one connection.
        """
        if host == self._host:
            return None
        self.release()
        if host in self._trusted:
            return None
        over = self._table.connect(host)
        if over is None:
            self._host = host
        return over

    def release(self) -> None:
        """Count the connection no longer. Doing it twice is harmless."""
        if self._host is not None:
            self._table.disconnect(self._host)
            self._host = None


def refusal(over: OverLimit) -> Response:
    """Return what is answered over a limit."""
    wait = ("Retry-After", str(max(1, math.ceil(over.retry_after))))
    return error_response(429, TEXTS[over.reason], wait)


def _itself(name: str | None) -> str | None:
    return name


def _table(
    rate: Rate | str | None, reason: str, key: Callable[[str | None], str | None] = address_key
) -> AddressTable | None:
    return None if rate is None else AddressTable(rate=Rate.of(rate), reason=reason, key=key)
