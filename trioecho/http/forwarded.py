"""
Who is behind a reverse proxy: the headers that say so, believed only from proxies that are trusted.

Anybody can send these headers. Each proxy appends the address it was connected from, so the list is read
from the right, as long as the next address is that of a trusted proxy; the first that is not is the client.
What stands further left is the client's own word. A proxy that passes ``X-Forwarded-Proto`` on without
setting it lets the client choose it; there is nothing to be seen of that here.

Sources: RFC 7239 (``Forwarded``); ``X-Forwarded-For`` and ``X-Forwarded-Proto`` have none but their use.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trioecho.options import OptionError

__all__ = ["Origin", "TrustedProxies", "origin_behind"]

MAX_HOPS = 32
"""More proxies in a row are no network but an attack on whoever reads the list."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
PARAMETER = re.compile(rf"""[ \t]*+(?:({TOKEN})=({TOKEN}|"(?:[^"\\]|\\.)*"))?[ \t]*+([;,]|$)""")
"""One parameter of ``Forwarded``, which may be empty, and what ends it (RFC 7239, 4)."""

Hop = tuple[str | None, str | None]
"""What one proxy says of who connected to it: address and scheme; ``None``: nothing that can be used."""


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where a request comes from.

    Attributes:
        host: the client's address, without a port, as :mod:`ipaddress` writes it; ``unix`` for a Unix socket.
        scheme: ``http`` or ``https``, what the client spoke; ``None``: nobody said so.

    """

    host: str
    scheme: str | None = None


class TrustedProxies:
    """
    The networks whose word is taken; ``unix`` for whoever connects over a Unix socket.

    Raises:
        OptionError: a network is none.

    """

    __slots__ = ("_networks", "unix")

    def __init__(self, cidrs: Iterable[str] = (), *, unix: bool = False) -> None:
        self.unix = unix
        networks: list[Network] = []
        for cidr in cidrs:
            if cidr == "unix":
                self.unix = True
                continue
            try:
                networks.append(ipaddress.ip_network(cidr))
            except ValueError:
                raise OptionError("trusted_proxy", _network_problem(cidr)) from None
        self._networks = tuple(networks)

    def __bool__(self) -> bool:
        """Whether anybody is trusted at all."""
        return self.unix or bool(self._networks)

    def __contains__(self, host: str) -> bool:
        """Whether ``host``, an address without a port or ``unix``, is a trusted proxy."""
        if host == "unix":
            return self.unix
        address = _address(host)
        return address is not None and any(address in network for network in self._networks)


def origin_behind(peer: str, headers: Sequence[tuple[str, str]], trusted: TrustedProxies) -> Origin:
    """
    Return where a request comes from: its direct ``peer``, or who is behind that.

    ``peer`` is an address without a port, or ``unix``; the names in ``headers`` are in small letters. An
    entry that is no address (``unknown``, a made-up name, garbage) stops the walk: the last proxy before it
    is all that is known.

    Where both kinds of header are there and disagree, neither is believed: a proxy that writes one of them
    and passes the other on would let the client choose.
    """
    if peer not in trusted:
        return Origin(peer)
    lines = [value for name, value in headers if name == "forwarded"]
    older = [value for name, value in headers if name == "x-forwarded-for"]
    schemes = [value for name, value in headers if name == "x-forwarded-proto"]
    by_standard = _walk(peer, _hops(lines), trusted)
    by_custom = _walk(peer, _older_hops(older, schemes), trusted)
    if not lines:
        return by_custom
    if not older and not schemes:
        return by_standard
    host = by_standard.host if by_standard.host == by_custom.host or not older else peer
    scheme = by_standard.scheme if by_standard.scheme == by_custom.scheme or not schemes else None
    return Origin(host, scheme)


def _walk(peer: str, hops: Iterable[Hop], trusted: TrustedProxies) -> Origin:
    """Follow what trusted proxies say, the nearest first, to the first address that is none of theirs."""
    origin = Origin(peer)
    for host, scheme in hops:
        origin = Origin(host or origin.host, scheme)
        if host is None or host not in trusted:
            break
    return origin


def _hops(lines: Sequence[str]) -> Iterator[Hop]:
    """Read ``Forwarded``, its last element first; one line that is malformed doesn't spoil those after it."""
    seen = 0
    for line in reversed(lines):
        elements = _elements(line)
        for element in reversed(elements or [{}]):
            seen += 1
            if seen > MAX_HOPS:
                return
            yield _host(element.get("for", "")), _scheme(element.get("proto", ""))


def _elements(line: str) -> list[dict[str, str]] | None:
    """Take one line of ``Forwarded`` apart; ``None``: it is malformed."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while True:
        found = PARAMETER.match(line, at)
        if found is None:
            return None
        name, value, end = found.groups()
        if name is not None:
            if name.lower() in elements[-1]:
                return None  # each parameter stands at most once in an element
            unquoted = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
            elements[-1][name.lower()] = unquoted
        if not end:
            return [element for element in elements if element]
        if end == ",":
            elements.append({})
        at = found.end()


def _older_hops(older: Sequence[str], schemes: Sequence[str]) -> Iterator[Hop]:
    """
    Read ``X-Forwarded-For`` and ``X-Forwarded-Proto``, the last entry first.

    Where there is one scheme an address they belong together; else there is one scheme for all, the last.
    """
    hosts = ",".join(older).rsplit(",", MAX_HOPS)[-MAX_HOPS:] if older else []
    said = ",".join(schemes).rsplit(",", MAX_HOPS)[-MAX_HOPS:] if schemes else [""]
    paired = len(said) == len(hosts)
    for back, host in enumerate(reversed(hosts), 1):
        yield _host(host), _scheme(said[-back if paired else -1])
    if not hosts:
        yield None, _scheme(said[-1])


def _host(entry: str) -> str | None:
    """Return the address in an entry, without a port or the brackets around IPv6, or ``None``."""
    entry = entry.strip()
    if entry.startswith("["):
        host, bracket, port = entry[1:].partition("]")
        if not bracket or ":" not in host or (port and not _is_port(port)):
            return None
    elif entry.count(":") == 1:
        host, _, port = entry.partition(":")
        if not _is_port(f":{port}"):
            return None
    else:
        host = entry
    address = _address(host)
    return None if address is None else str(address)


def _is_port(text: str) -> bool:
    return re.fullmatch(r":[0-9]{1,5}", text) is not None and int(text[1:]) <= 65_535


def _scheme(entry: str) -> str | None:
    """Return what the client spoke as the scheme of HTTP; WebSocket's are the same thing (RFC 6455, 3)."""
    return {"http": "http", "ws": "http", "https": "https", "wss": "https"}.get(entry.strip().lower())


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # A socket that serves both families shows an IPv4 client in IPv6 (RFC 4291, 2.5.5.2).
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network_problem(cidr: str) -> str:
    example = "for example 10.0.0.0/8, 2001:db8::/32, 192.0.2.1 or unix"
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return f"must be a network, {example}, not {cidr!r}"
    return f"has bits set beyond its prefix: {cidr!r}; did you mean {str(network)!r}?"
