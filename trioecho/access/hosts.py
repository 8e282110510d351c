"""
The host a request asks for, and which hosts a server answers to.

A web page whose own name is made to resolve to 127.0.0.1 after it was loaded talks to a server on the
visitor's machine as if it were its own (DNS rebinding). The name still stands in ``Host``: so a server that
listens on loopback answers only to loopback names, and to those it is told of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from trioecho.access.identity import Refusal
from trioecho.http.request import Request
from trioecho.options import OptionError

__all__ = ["Authority", "Hosts", "asked_host", "parse_authority"]

MAX_AUTHORITY_BYTES = 300
"""The longest name in DNS has 253 characters; a port comes on top."""

KEPT = 512
"""Clients ask for the same few hosts again and again: of so many it is kept what they are."""

AUTHORITY = re.compile(r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9_-][a-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in small letters (an IPv6 address without its brackets), and a port if one was given."""

    host: str
    port: int | None

    @property
    def loopback(self) -> bool:
        """Whether the host is the machine itself: ``localhost``, a name below it, or a loopback address."""
        return _is_loopback(self.host)


@lru_cache(KEPT)
def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, 6.3
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback


def parse_authority(text: str) -> Authority | None:
    """Take ``host``, ``host:port`` or ``[IPv6]:port`` apart; ``None`` if it is none of them."""
    return None if len(text) > MAX_AUTHORITY_BYTES or not text.isascii() else _parsed(text)


@lru_cache(KEPT)
def _parsed(text: str) -> Authority | None:
    found = AUTHORITY.fullmatch(text.lower())
    if found is None:
        return None
    host, port = found["host"], found["port"]
    if port is not None and not 0 < int(port) <= 65_535:
        return None
    try:
        # One spelling each: [0::1] is [::1]. A name of digits and dots that is no address stays a name.
        host = str(IPv6Address(host[1:-1])) if host.startswith("[") else str(IPv4Address(host))
    except ValueError:
        if host.startswith("["):
            return None
    return Authority(host.removesuffix("."), None if port is None else int(port))


def asked_host(request: Request) -> Authority | None:
    """Return the host a request asks for, or ``None`` if it names none, several, or none that can be."""
    values = request.values("host")
    return parse_authority(values[0].strip()) if len(values) == 1 else None


class Hosts:
    """
    The hosts a server answers to.

    Args:
        allowed: names beside the loopback ones: ``example.com`` (any port), ``example.com:8080``,
            ``*.example.com`` (one or more labels before it), or ``*`` (no check).
        loopback: whether the server can be reached from its own machine only. Then the check is always
            on; otherwise only if ``allowed`` names something, and loopback names are not among it.

    Raises:
        OptionError: a value is none of these.

    """

    def __init__(self, allowed: Iterable[str] = (), *, loopback: bool) -> None:
        self._loopback = loopback
        self._names: set[Authority] = set()
        self._below: list[tuple[str, int | None]] = []
        allowed = tuple(allowed)
        self._checks = "*" not in allowed and (loopback or bool(allowed))
        for text in allowed:
            if text == "*":
                continue
            authority = parse_authority(text.removeprefix("*."))
            if authority is None:
                raise OptionError(
                    "allowed_host",
                    f"must be a host, as in example.com, example.com:8080, *.example.com or *, not {text!r}",
                )
            if text.startswith("*."):
                self._below.append((f".{authority.host}", authority.port))
            else:
                self._names.add(authority)

    def check(self, request: Request) -> Refusal | None:
        """Return why the host a request asks for is refused, or ``None``."""
        values = [value for value in request.values("host") if value.strip()]
        if not self._checks or not values:
            return None  # No web page can leave the host out: browsers always send it.
        host = asked_host(request)
        if host is not None and self._answers_to(host):
            return None
        where = "only answers to names of the machine itself" if self._loopback else "does not answer to it"
        return Refusal(403, f"The Host is not allowed: this server {where} (--allowed-host adds a name).")

    def _answers_to(self, host: Authority) -> bool:
        if self._loopback and host.loopback:
            return True
        if host in self._names or Authority(host.host, None) in self._names:
            return True
        return any(host.host.endswith(end) and port in (None, host.port) for end, port in self._below)
