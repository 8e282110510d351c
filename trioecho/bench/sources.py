"""
The addresses that connections come from.

A connection is told from others by four numbers, and three of them are the same for all that one address
makes to one server. What is left is the local port, of which Linux hands out some 28,000: for more
connections there must be more addresses. On loopback every 127.x.y.z is one of this machine's.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trioecho.options import OptionError

__all__ = ["Sources", "parse_sources"]

MAX_SOURCES = 2**16
"""So many addresses are kept; with all their ports they could hold a billion connections."""

LOCAL_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Which ports Linux hands out to those who connect."""

USABLE = 0.8
"""The share of them that is counted on: others have some, and some rest for a minute after their use."""


def parse_sources(texts: Iterable[str]) -> tuple[str, ...]:
    """
    Return the addresses that are meant by addresses and networks (``10.0.0.0/28``), without names or ports.

    Raises:
        OptionError: one of them is neither, or there are too many.

    """
    found: list[str] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise OptionError(
                "source", f"must be an IP address or a network such as 127.0.1.0/24, not {text!r}"
            ) from None
        if len(found) + network.num_addresses > MAX_SOURCES:
            raise OptionError("source", f"may be {MAX_SOURCES} addresses in all; {text} would make more")
        found += [str(address) for address in network.hosts()]
    return tuple(found)


class Sources:
    """
    Addresses in turn, each connection from the next.

    Without ``given`` it is left to the system, unless the server is on Linux's loopback and has more
    connections than one address has ports.
    """

    def __init__(self, given: Sequence[str], connections: int) -> None:
        self._given = given
        self._connections = connections
        self._turns: dict[int, Iterator[str]] = {}

    def next(self, family: int, server: Any) -> str | None:
        """
        Return the address to come from for a socket of this family to this server; ``None``: any will do.

        Raises:
            LookupError: addresses were given, but none is of this family.

        """
        if family not in self._turns:
            self._turns[family] = itertools.cycle(self._of(family, server))
        return next(self._turns[family], None)

    def _of(self, family: int, server: Any) -> list[str]:
        if not self._given:
            return _on_loopback(server[0], self._connections) if family == socket.AF_INET else []
        version = {socket.AF_INET: 4, socket.AF_INET6: 6}.get(socket.AddressFamily(family))
        fitting = [text for text in self._given if ipaddress.ip_address(text).version == version]
        if not fitting:
            raise LookupError
        return fitting


def _on_loopback(host: str, connections: int) -> list[str]:
    if sys.platform != "linux" or not ipaddress.ip_address(host).is_loopback:
        return []
    try:
        first, last = map(int, LOCAL_PORTS.read_text().split())
    except OSError:  # a container may hide it
        return []
    needed = -(-connections // max(1, int((last - first + 1) * USABLE)))
    if needed <= 1:
        return []
    lowest = ipaddress.ip_address("127.0.0.1")
    return [str(lowest + number) for number in range(min(needed, MAX_SOURCES))]
