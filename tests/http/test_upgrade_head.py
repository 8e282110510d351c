"""The head of a handshake is read as h11 reads it, or left to h11."""

from __future__ import annotations

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trioecho.http.exchange import ODD_LINES
from trioecho.http.parsing import next_event
from trioecho.http.request import Request, parse_request
from trioecho.http.response import HTTPError
from trioecho.http.upgrade_head import parse_upgrade_head

ORDINARY = (b"Host: x", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13")
ODD = (
    b"Host: y",
    b"Host:",
    b"Content-Length: 0",
    b"Content-Length: 5",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Connection: close",
    b"Cookie: a=\xff\xfe",
    b"X: a\x0bb",
    b"X:\x0c",
    b"X: \x1f\x7f",
    b"X : y",
    b"X\xe9: y",
    b": y",
    b"nothing",
    b"X:  several  words\t ",
)
LINES = (
    b"GET / HTTP/1.1",
    b"GET /a%20room?after=3 HTTP/1.1",
    b"GET ws://x/y HTTP/1.1",
    b"GET /%7Eada HTTP/1.1",
)
ODD_FIRST = (
    b"GET / HTTP/1.0",
    b"GET / HTTP/2.0",
    b"POST / HTTP/1.1",
    b"GET  / HTTP/1.1",
    b"GET /%00 HTTP/1.1",
    b"GET x HTTP/1.1",
    b"GET /\xe9 HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"get / HTTP/1.1",
)

raw = st.binary(max_size=12).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b""))
first_lines = st.one_of(st.sampled_from(LINES + ODD_FIRST), raw)
headers = st.lists(
    st.one_of(
        st.sampled_from(ORDINARY + ODD),
        st.tuples(raw, st.sampled_from([b":", b": ", b"", b":\t"]), raw).map(b"".join),
    ),
    max_size=8,
)


def by_h11(head: bytes) -> Request:
    reader = h11.Connection(h11.SERVER)
    reader.receive_data(head)
    event = next_event(reader)
    assert isinstance(event, h11.Request)
    return parse_request(event)


def as_values(request: Request) -> tuple[object, ...]:
    return request.method, request.path, request.query, request.headers, request.http11, request.has_body


@given(first_lines, headers)
@example(b"GET / HTTP/1.1", list(ORDINARY))
@example(b"GET / HTTP/1.1", [*ORDINARY, b"X: a\x0cb"])
@example(b"GET /%00 HTTP/1.1", list(ORDINARY))
def test_what_is_read_is_what_h11_reads(first: bytes, lines: list[bytes]) -> None:
    head = b"\r\n".join([first, *[line for line in lines if line.strip()], b"", b""])
    if ODD_LINES.search(head) or not first or not 0x21 <= head[0] <= 0x7E:
        return  # refused before
    try:
        read = parse_upgrade_head(head)
    except HTTPError as error:
        with pytest.raises(HTTPError) as refused:
            by_h11(head)
        assert refused.value.response == error.response
    else:
        if read is not None:
            assert as_values(read) == as_values(by_h11(head))


@pytest.mark.parametrize("first", LINES)
def test_ordinary_handshakes_are_read(first: bytes) -> None:
    head = b"\r\n".join([first, *ORDINARY, b"X: 1", b"x:  2 ", b"", b""])
    read = parse_upgrade_head(head)
    assert read is not None
    assert as_values(read) == as_values(by_h11(head))
    assert read.values("x") == ["1", "2"] and read.header("host") == "x"


@pytest.mark.parametrize("line", ODD)
def test_what_is_not_ordinary_is_left_to_h11_or_read_like_it(line: bytes) -> None:
    head = b"\r\n".join([LINES[0], *ORDINARY, line, b"", b""])
    read = parse_upgrade_head(head)
    try:
        expected = by_h11(head)
    except HTTPError:
        assert read is None
    else:
        assert read is None or as_values(read) == as_values(expected)
