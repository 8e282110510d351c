"""The PROXY protocol's header is parsed at whatever points it is cut, and never further than its bounds."""

from __future__ import annotations

import socket
import struct

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trioecho.transport.proxy_protocol import (
    MAX_HEADER_BYTES,
    ProxyProtocolError,
    Source,
    parse_proxy_header,
    read_proxy_header,
)

V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def field(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return V2 + struct.pack("!BBH", 0x20 | command, family, len(body) if length is None else length) + body


IPV4 = socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 50_000, 443)
IPV6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 50_001, 443)
)
UNIX = b"/run/client.sock".ljust(108, b"\0") + b"/run/server.sock".ljust(108, b"\0")
SSL_CN = field(0x22, "sensor-7 ü".encode())


def ssl_field(client: int, verify: int, more: bytes = field(0x21, b"TLSv1.3") + SSL_CN) -> bytes:
    return field(0x20, struct.pack("!BI", client, verify) + more)


GOOD = [
    (b"PROXY TCP4 203.0.113.7 192.0.2.1 50000 443\r\n", Source("203.0.113.7", 50_000)),
    (b"PROXY TCP6 2001:DB8::7 2001:db8::1 0 443\r\n", Source("2001:db8::7", 0)),
    (b"PROXY UNKNOWN\r\n", Source()),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", Source()),
    (b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n", Source()),  # the longest: 107 bytes
    (v2(1, 0x11, IPV4), Source("203.0.113.7", 50_000)),
    (v2(1, 0x12, IPV4), Source("203.0.113.7", 50_000)),
    (v2(1, 0x21, IPV6), Source("2001:db8::7", 50_001)),
    (v2(1, 0x31, UNIX), Source("unix")),
    (v2(1, 0x00, b""), Source()),
    (v2(1, 0x00, field(0x04, b"padding")), Source()),
    (v2(0, 0x00, b""), Source()),
    (v2(0, 0x11, IPV4), Source()),
    (v2(0, 0xFF, b"anything"), Source()),
    (v2(1, 0x11, IPV4 + field(0x01, b"http/1.1") + field(0x04, b"")), Source("203.0.113.7", 50_000)),
    (v2(1, 0x11, IPV4 + ssl_field(0x07, 0)), Source("203.0.113.7", 50_000, True, "sensor-7 ü")),
    (v2(1, 0x11, IPV4 + ssl_field(0x05, 0)), Source("203.0.113.7", 50_000, True, "sensor-7 ü")),
    (v2(1, 0x11, IPV4 + ssl_field(0x07, 1)), Source("203.0.113.7", 50_000, True, None)),  # not verified
    (v2(1, 0x11, IPV4 + ssl_field(0x01, 0)), Source("203.0.113.7", 50_000, True, None)),  # no certificate
    (v2(1, 0x11, IPV4 + ssl_field(0x00, 1, b"")), Source("203.0.113.7", 50_000)),
    (
        v2(1, 0x11, IPV4 + ssl_field(0x07, 0, field(0x22, b"\xff"))),
        Source("203.0.113.7", 50_000, True, "\ufffd"),
    ),
    (
        v2(1, 0x21, IPV6 + field(0x05, bytes(MAX_HEADER_BYTES - 16 - 36 - 3))),
        Source("2001:db8::7", 50_001),
    ),
]

BAD = [
    (b"GET / HTTP/1.1\r\n\r\n", "does not begin with a PROXY header"),
    (b"\x16\x03\x01\x02\x00", "does not begin with a PROXY header"),
    (b"PROXY\r\n", "does not begin with a PROXY header"),
    (b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n", "is not 'PROXY TCP4"),
    (b"PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n", "is not 'PROXY TCP4"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "is not 'PROXY TCP4"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n", "is not 'PROXY TCP4"),
    (b"PROXY TCP4 1.2.3.4 example 1 1\r\n", "an address that is none"),
    (b"PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n", "an address that is none"),
    (b"PROXY TCP4 \xff 1.2.3.4 1 1\r\n", "an address that is none"),
    (b"PROXY TCP4 ::1 ::1 1 1\r\n", "an address that is not IPv4"),
    (b"PROXY TCP6 1.2.3.4 1.2.3.4 1 1\r\n", "an address that is not IPv6"),
    (b"PROXY TCP6 fe80::1%lo ::1 1 1\r\n", "an address that is not IPv6"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n", "a port that is none"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n", "a port that is none"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 -1\r\n", "a port that is none"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "a port that is none"),
    (b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n", "no end within 107 bytes"),
    (b"PROXY TCP4" + b" " * 200, "no end within 107 bytes"),
    (V2 + b"\x11\x11\x00\x0c" + IPV4, "version 1, command 1: unknown"),
    (V2 + b"\x22\x11\x00\x0c" + IPV4, "version 2, command 2: unknown"),
    (v2(1, 0x41, IPV4), "address family 4, transport 1: unknown"),
    (v2(1, 0x13, IPV4), "address family 1, transport 3: unknown"),
    (v2(1, 0x11, IPV4[:-1]), "too short for its addresses"),
    (v2(1, 0x21, IPV4), "too short for its addresses"),
    (v2(1, 0x31, IPV6), "too short for its addresses"),
    (v2(1, 0x11, b"", MAX_HEADER_BYTES - 15), f"longer than {MAX_HEADER_BYTES} bytes"),
    (v2(1, 0x11, b"", 65_535), f"longer than {MAX_HEADER_BYTES} bytes"),
    (v2(1, 0x11, IPV4 + b"\x01"), "ends within a field"),
    (v2(1, 0x11, IPV4 + b"\x01\x00\x02x"), "ends within a field"),
    (v2(1, 0x11, IPV4 + field(0x20, b"\x01\x00")), "field on TLS is too short"),
    (v2(1, 0x11, IPV4 + ssl_field(1, 0, b"\x22\xff\xff")), "ends within a field"),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_is_complete_at_its_last_byte_and_no_earlier(header: bytes, source: Source) -> None:
    for end in range(len(header)):
        assert parse_proxy_header(header[:end]) is None
    assert parse_proxy_header(header) == (source, len(header))
    assert parse_proxy_header(header + b"PROXY \x00GET") == (source, len(header))


@pytest.mark.parametrize(("data", "problem"), BAD)
def test_what_is_no_header_is_refused_in_one_sentence(data: bytes, problem: str) -> None:
    with pytest.raises(ProxyProtocolError) as caught:
        parse_proxy_header(data)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def outcome(data: bytes) -> object:
    try:
        return parse_proxy_header(data)
    except ProxyProtocolError as error:
        return str(error)


PREFIXES = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", V2, V2 + b"\x21\x11", V2 + b"\x21\x21"]
)


@given(PREFIXES, st.binary(max_size=300))
def test_whatever_comes_it_is_decided_within_the_bounds(prefix: bytes, rest: bytes) -> None:
    whole = outcome(prefix + rest)
    assert whole is None or isinstance(whole, str | tuple)
    # What is settled stays so, whatever follows: it doesn't matter where the bytes were cut.
    for end in range(len(prefix + rest)):
        early = outcome((prefix + rest)[:end])
        if early is not None:
            assert early == whole
            break
    assert outcome(prefix + rest + bytes(MAX_HEADER_BYTES)) is not None


async def read(*pieces: bytes) -> tuple[Source, bytes] | str:
    """Let a peer send each piece when the one before has been read, and hang up."""
    near, far = trio.testing.lockstep_stream_pair()
    async with near, trio.open_nursery() as nursery:

        async def send() -> None:
            async with far:
                for piece in pieces:
                    await far.send_all(piece)

        nursery.start_soon(send)
        try:
            return await read_proxy_header(near)
        except ProxyProtocolError as error:
            return str(error)
        finally:
            nursery.cancel_scope.cancel()
    raise AssertionError("unreachable")


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_it_is_read_from_a_stream_and_what_follows_is_kept(size: int) -> None:
    header = v2(1, 0x11, IPV4)
    data = header + b"GET"
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    read_bytes = min(-(-len(header) // size) * size, len(data))
    assert await read(*pieces) == (Source("203.0.113.7", 50_000), data[len(header) : read_bytes])


async def test_an_end_before_or_within_it_is_said() -> None:
    assert await read() == "the connection ended before the PROXY header"
    assert await read(b"PROXY TCP4") == "the connection ended within the PROXY header"
