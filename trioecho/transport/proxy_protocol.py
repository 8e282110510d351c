"""
The PROXY protocol: what a load balancer writes before a client's bytes, to say whose they are.

Source: "The PROXY protocol, versions 1 & 2", HAProxy's doc/proxy-protocol.txt; section numbers below are
its own. Whether the peer may be believed is decided elsewhere: who reads a header here has to trust who
wrote it.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass

import trio

__all__ = ["MAX_HEADER_BYTES", "ProxyProtocolError", "Source", "parse_proxy_header", "read_proxy_header"]

V1_START = b"PROXY "
V1_MAX_BYTES = 107
"""The longest line of version 1, CRLF included (2.1)."""

V2_START = b"\r\n\r\n\0\r\nQUIT\n"
V2_HEAD_BYTES = 16

MAX_HEADER_BYTES = 4096
"""
The longest header of version 2 that is taken. The format allows 65,551 bytes; addresses are at most 216,
and TLVs with a certificate's name and a unique id are some hundred more.
"""

ADDRESS_BYTES = {0x0: 0, 0x1: 12, 0x2: 36, 0x3: 216}
"""The length of both addresses, by family (2.2): unspecified, IPv4, IPv6, Unix."""

TLV_SSL = 0x20
SUBTLV_SSL_CN = 0x22
CLIENT_SSL, CLIENT_CERT_CONN, CLIENT_CERT_SESS = 0x01, 0x02, 0x04


class ProxyProtocolError(Exception):
    """The peer wrote no good header; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    Who is behind the proxy.

    Attributes:
        host: the client's address; ``None``: the proxy speaks for itself (a health check) or does not know.
        port: its port; 0 where there is none.
        tls: whether the client came to the proxy over TLS, as far as it said so.
        tls_subject: the common name of the client's certificate, if the proxy verified one.

    """

    host: str | None = None
    port: int = 0
    tls: bool = False
    tls_subject: str | None = None


def parse_proxy_header(data: bytes) -> tuple[Source, int] | None:
    """
    Parse the header at the start of ``data``; return it and its length, or ``None``: more bytes are needed.

    Raises:
        ProxyProtocolError: what there is can't become a header, or it would be too long.

    """
    if V2_START.startswith(data[: len(V2_START)]):
        return _version_2(data) if len(data) >= V2_HEAD_BYTES else None
    if V1_START.startswith(data[: len(V1_START)]):
        return _version_1(data)
    raise ProxyProtocolError("the connection does not begin with a PROXY header")


async def read_proxy_header(stream: trio.abc.ReceiveStream) -> tuple[Source, bytes]:
    """
    Wait for the header, and return it and what was read beyond it. How long to wait is the caller's decision.

    Raises:
        ProxyProtocolError: there is none, or the connection ended within it.
        trio.BrokenResourceError: the connection is gone.

    """
    data = bytearray()
    while True:
        received = await stream.receive_some(MAX_HEADER_BYTES)
        if not received:
            where = "within" if data else "before"
            raise ProxyProtocolError(f"the connection ended {where} the PROXY header")
        data += received
        found = parse_proxy_header(bytes(data))
        if found is not None:
            source, length = found
            return source, bytes(data[length:])


def _version_1(data: bytes) -> tuple[Source, int] | None:
    """Parse a line of text (2.1)."""
    end = data.find(b"\r\n", 0, V1_MAX_BYTES)
    if end < 0:
        if len(data) >= V1_MAX_BYTES:
            raise ProxyProtocolError(f"the PROXY line has no end within {V1_MAX_BYTES} bytes")
        return None
    words = data[:end].split(b" ")
    if words[1] == b"UNKNOWN":
        return Source(), end + 2  # whatever follows must be ignored
    if words[1] not in (b"TCP4", b"TCP6") or len(words) != 6:
        raise ProxyProtocolError("the PROXY line is not 'PROXY TCP4 source destination port port'")
    version = 4 if words[1] == b"TCP4" else 6
    hosts = [_address(word, version) for word in words[2:4]]
    ports = [_port(word) for word in words[4:6]]
    return Source(hosts[0], ports[0]), end + 2


def _address(word: bytes, version: int) -> str:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        raise ProxyProtocolError("the PROXY line has an address that is none") from None
    if address.version != version or b"%" in word:
        raise ProxyProtocolError(f"the PROXY line has an address that is not IPv{version}")
    return str(address)


def _port(word: bytes) -> int:
    # No leading zeros (2.1); isdigit() alone, on bytes, is ASCII only.
    if not word.isdigit() or len(word) > 5 or int(word) > 65_535 or (word[:1] == b"0" and word != b"0"):
        raise ProxyProtocolError("the PROXY line has a port that is none")
    return int(word)


def _version_2(data: bytes) -> tuple[Source, int] | None:
    """Parse the binary form (2.2)."""
    version_and_command, family_and_kind, length = struct.unpack_from("!BBH", data, len(V2_START))
    version, command = version_and_command >> 4, version_and_command & 0xF
    if version != 2 or command > 1:
        raise ProxyProtocolError(f"the PROXY header has version {version}, command {command}: unknown")
    end = V2_HEAD_BYTES + length
    if end > MAX_HEADER_BYTES:
        raise ProxyProtocolError(f"the PROXY header is longer than {MAX_HEADER_BYTES} bytes")
    if len(data) < end:
        return None
    if command == 0:  # LOCAL: the proxy itself; the rest must be ignored
        return Source(), end
    family, kind = family_and_kind >> 4, family_and_kind & 0xF
    if family not in ADDRESS_BYTES or kind > 2:
        raise ProxyProtocolError(f"the PROXY header has address family {family}, transport {kind}: unknown")
    body = data[V2_HEAD_BYTES:end]
    size = ADDRESS_BYTES[family]
    if len(body) < size:
        raise ProxyProtocolError("the PROXY header is too short for its addresses")
    tls, subject = _tls(body[size:])
    host, port = _source(family, body)
    return Source(host, port, tls, subject), end


def _source(family: int, body: bytes) -> tuple[str | None, int]:
    if family == 0x1:
        return socket.inet_ntop(socket.AF_INET, body[:4]), int.from_bytes(body[8:10], "big")
    if family == 0x2:
        return socket.inet_ntop(socket.AF_INET6, body[:16]), int.from_bytes(body[32:34], "big")
    return ("unix", 0) if family == 0x3 else (None, 0)


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Take type-length-value fields apart (2.2)."""
    fields = []
    at = 0
    while at < len(data):
        if len(data) - at < 3:
            raise ProxyProtocolError("the PROXY header ends within a field")
        kind, length = struct.unpack_from("!BH", data, at)
        value = data[at + 3 : at + 3 + length]
        if len(value) < length:
            raise ProxyProtocolError("the PROXY header ends within a field")
        fields.append((kind, value))
        at += 3 + length
    return fields


def _tls(data: bytes) -> tuple[bool, str | None]:
    """Return whether the client came over TLS, and the verified name in its certificate (2.2.6)."""
    for kind, value in _fields(data):
        if kind != TLV_SSL:
            continue
        if len(value) < 5:
            raise ProxyProtocolError("the PROXY header's field on TLS is too short")
        client, verify = struct.unpack_from("!BI", value)
        certified = client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS) and verify == 0
        names = [name for sub, name in _fields(value[5:]) if sub == SUBTLV_SSL_CN]
        tls = bool(client & CLIENT_SSL)
        # A name that is no text is no name: what goes into a log or an identity must be readable.
        subject = names[0].decode("utf-8", errors="replace") if names and certified and tls else None
        return tls, subject
    return False, None
