"""
Requests that two readers could understand differently, and requests that nobody understands.

A proxy that reads a request in one way and a server that reads it in another let a client hide one request
in another's body. So what is not plain is refused, and what follows it is never read.
"""

from __future__ import annotations

import logging
from functools import partial

import h11
import pytest
import trio
import trio.testing
from helpers.http_client import asking
from helpers.memory_listener import LockstepListener
from helpers.raw_peer import TEXT, joined
from helpers.server import unharmed
from hypothesis import given, settings
from hypothesis import strategies as st

from trioecho import serve
from trioecho.rooms.hub import registry_of

HIDDEN = (
    b"POST /hidden HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer secret\r\nContent-Length: 2\r\n\r\nhi"
)
"""What must never be taken for a request: it would be a good one."""


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1", end: bytes = b"\r\n") -> bytes:
    first = b"POST /open HTTP/" + version, b"Host: localhost", b"Authorization: Bearer secret"
    return end.join([*first, *lines]) + end * 2 + body


CHUNKED = b"Transfer-Encoding: chunked"
FOUR = b"Content-Length: 4"

FORMS = {
    "CL.TE": post(FOUR, CHUNKED, body=b"0\r\n\r\n"),
    "TE.CL": post(CHUNKED, FOUR, body=b"5c\r\n"),
    "CL.0": post(b"Content-Length: 0", CHUNKED),
    "TE.TE, another": post(CHUNKED, b"Transfer-Encoding: cow", body=b"0\r\n\r\n"),
    "TE.TE, twice": post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "TE, another coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "TE, a list": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "TE, identity": post(b"Transfer-Encoding: identity", FOUR, body=b"abcd"),
    "TE, quoted": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "TE, a space before the colon": post(b"Transfer-Encoding : chunked", FOUR, body=b"0\r\n\r\n"),
    "TE, a space before the name": post(b" Transfer-Encoding: chunked", FOUR, body=b"0\r\n\r\n"),
    "TE, a tab before the name": post(b"X: y", b"\tTransfer-Encoding: chunked", FOUR, body=b"abcd"),
    "TE, a vertical tab": post(b"Transfer-Encoding:\x0bchunked", FOUR, body=b"0\r\n\r\n"),
    "TE, after a bare LF": post(b"X: y\nTransfer-Encoding: chunked", FOUR, body=b"0\r\n\r\n"),
    "TE, after a bare CR": post(b"X: y\rTransfer-Encoding: chunked", FOUR, body=b"0\r\n\r\n"),
    "TE, folded": post(b"Transfer-Encoding:\r\n chunked", FOUR, body=b"0\r\n\r\n"),
    "TE in HTTP/1.0": post(CHUNKED, body=b"0\r\n\r\n", version=b"1.0"),
    "a trailer after a bare LF": post(CHUNKED, body=b"0\r\nX: y\n\r\n"),
    "a trailer that ends in a bare LF": post(CHUNKED, body=b"0\r\nX: y\r\n\n"),
    "a trailer that is folded": post(CHUNKED, body=b"0\r\nX: y\r\n z: a\r\n\r\n"),
    "two lengths": post(FOUR, b"Content-Length: 0", body=b"abcd"),
    "a list of two lengths": post(b"Content-Length: 4, 0", body=b"abcd"),
    "a length with a sign": post(b"Content-Length: +4", body=b"abcd"),
    "a negative length": post(b"Content-Length: -1"),
    "a length in hex": post(b"Content-Length: 0x4", body=b"abcd"),
    "a length with a gap": post(b"Content-Length: 4 0", body=b"abcd"),
    "a length with an underscore": post(b"Content-Length: 1_0", body=b"abcd"),
    "a length of other digits": post("Content-Length: ٤".encode(), body=b"abcd"),
    "a length without digits": post(b"Content-Length:", body=b"abcd"),
    "a length beyond all measure": post(b"Content-Length: " + b"9" * 30),
    "a length folded": post(b"Content-Length: 0\r\n 4", body=b"abcd"),
    "a zero byte in a name": post(b"Content\x00-Length: 4", body=b"abcd"),
    "lines that end in LF": post(b"Content-Length: 0", end=b"\n"),
    "lines that end in CR": post(b"Content-Length: 0", end=b"\r"),
    "a line without a colon": post(b"nonsense", FOUR, body=b"abcd"),
    "an empty name": post(b": x", FOUR, body=b"abcd"),
    "an empty line first": b"\r\n" + post(b"Content-Length: 0"),
    "two spaces in the first line": b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tab in the first line": b"GET\t/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "more in the first line": b"GET / HTTP/1.1 x\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "another version": b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: [::1]\r\nHost: y\r\n\r\n",
    "a body where none belongs": b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd",
    "a HEAD with a body": b"HEAD / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk of no size": post(CHUNKED, body=b"\r\nabcd\r\n0\r\n\r\n"),
    "a chunk with a sign": post(CHUNKED, body=b"+4\r\nabcd\r\n0\r\n\r\n"),
    "a chunk with 0x": post(CHUNKED, body=b"0x4\r\nabcd\r\n0\r\n\r\n"),
    "a chunk beyond all measure": post(CHUNKED, body=b"f" * 30 + b"\r\n"),
    "a chunk longer than it says": post(CHUNKED, body=b"3\r\nabcd\r\n0\r\n\r\n"),
    "a chunk shorter than it says": post(CHUNKED, body=b"5\r\nabcd\r\n0\r\n\r\n"),
    "a chunk that ends in LF": post(CHUNKED, body=b"4\nabcd\n0\n\n"),
    "a chunk's size on endless lines": post(CHUNKED, body=b"1" * 20_000),
    "a trailer that is none": post(CHUNKED, body=b"0\r\nno trailer\r\n\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
async def test_what_is_not_plain_is_refused_and_what_follows_it_is_never_read(form: str) -> None:
    async with unharmed(handshake_timeout=2.0) as server:
        async with joined(server.url, b"/hidden") as hidden, joined(server.url, b"/open") as opened:
            async with asking(server.url) as peer:
                await peer.send(FORMS[form] + HIDDEN)
                answer = await peer.read_answer(only_head=form.startswith("a HEAD"))
                assert answer.status in (400, 431, 501, 505), answer
                assert answer.headers["connection"] == "close"
                assert await peer.is_ended()
            for room, listener in (("/hidden", hidden), ("/open", opened)):
                await server.server.hub.publish(room, "nothing before this")
                assert await listener.read_frame() == (TEXT, b"nothing before this")


async def test_a_trailer_as_it_should_be_is_read_and_ignored() -> None:
    trailers = [b"0\r\n\r\n", b"0\r\nA: b\r\nC: d\r\n\r\n", b"0\r\nA: " + b"x" * 9000 + b"\r\n\r\n"]
    async with unharmed(max_message_size=2**20) as server:
        async with joined(server.url, b"/open") as listener, asking(server.url) as peer:
            for trailer in trailers:
                for body in (b"", b"5\r\nhello\r\n", b"30000\r\n" + b"\r\n" * 0x18000 + b"\r\n"):
                    data = post(CHUNKED, body=body + trailer)
                    for at in range(0, len(data), 50_001):
                        await peer.send(data[at : at + 50_001])
                    assert (await peer.read_answer()).status == 202
                    await listener.read_frame()


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization : Bearer secret-" + b"x" * 15_000,
        b"Authorization\xff: Bearer secret-" + b"x" * 15_000,
        b"Content-Length: secret-" + b"x" * 15_000,
        b"Transfer-Encoding: secret-" + b"\xff" * 15_000,
        b"secret-" + b"\xff" * 15_000,
    ],
)
async def test_little_of_a_request_is_repeated_and_nothing_of_its_headers(line: bytes) -> None:
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")
        answer = await peer.read_answer()
        assert answer.status in (400, 501) and len(answer.body) < 300
        (logged,) = server.find("refused")
        assert len(str(logged)) < 500
        assert "secret" not in answer.text + str(logged)


@pytest.mark.parametrize("path", [b"/%ED%A0%80", b"/%ff", b"/%C0%AF", b"/\xed\xa0\x80"])
async def test_a_name_with_half_a_surrogate_or_other_bytes_is_rejected(path: bytes) -> None:
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n")
        assert (await peer.read_answer()).status == 400


PIECES = st.sampled_from(
    [
        *[
            b"\r\n",
            b"\n",
            b"\r",
            b"\r\n\r\n",
            b" ",
            b"\t",
            b":",
            b",",
            b"\x00",
            b"\xff",
            b"%",
            b"%zz",
            b"/",
            b"?",
        ],
        *[
            b"GET ",
            b"POST ",
            b"HEAD ",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"Host: localhost\r\n",
            b"Expect: 100-continue\r\n",
        ],
        *[b"Content-Length: 3\r\n", b"Content-Length: 99999999\r\n", b"Transfer-Encoding: chunked\r\n"],
        *[b"Connection: close\r\n", b"Accept: application/json\r\n", b"Accept: text/html;q=x,,\r\n"],
        *[b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"x" * 9000],
    ]
)
REQUESTS = st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=20).map(b"".join)
"""Bytes that look like HTTP in places. None of them holds the token, or asks for a WebSocket or events."""


@given(
    start=st.sampled_from([b"", b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"POST / HTTP/1.1\r\nHost: x\r\n"]),
    data=REQUESTS,
    cuts=st.lists(st.tuples(st.integers(1, 5000), st.sampled_from([0.0, 0.1, 9.0])), max_size=6),
)
@settings(deadline=None)
def test_no_bytes_crash_it_hang_it_or_reach_a_room(
    start: bytes, data: bytes, cuts: list[tuple[int, float]]
) -> None:
    complaints: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("trioecho")
    logger.addHandler(handler)
    try:
        trio.run(_hold_a_conversation, start + data, cuts, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logger.removeHandler(handler)
    assert not complaints


async def _hold_a_conversation(data: bytes, cuts: list[tuple[int, float]]) -> None:
    """Say ``data``, in pieces and with pauses, and hear what comes until the server has had enough."""
    listener = LockstepListener()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve, listeners=[listener]))
        heard = bytearray()
        async with server.hub.subscribe("/"):
            stream = await listener.open()

            async def speak() -> None:
                rest = data
                try:
                    for length, pause in cuts:
                        await stream.send_all(rest[:length])
                        rest = rest[length:]
                        await trio.sleep(pause)
                    await stream.send_all(rest)
                except trio.BrokenResourceError:
                    pass

            nursery.start_soon(speak)
            # Long enough for the slowest speaker, a request that is never finished, and silence after it.
            with trio.fail_after(200):
                while more := await stream.receive_some():
                    heard += more
            room = registry_of(server.hub).room("/")
            assert room is not None and room.messages == 0
        assert server.counters.connected == server.counters.messages_in == 0
        nursery.cancel_scope.cancel()
    _assert_answers(bytes(heard))


def _assert_answers(heard: bytes) -> None:
    """Every answer is one that another HTTP library reads."""
    while heard:
        client = h11.Connection(h11.CLIENT)
        # Of a HEAD no body comes; which requests were heard as one, only the server knows.
        client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(heard)
        event = client.next_event()
        while isinstance(event, h11.InformationalResponse):
            event = client.next_event()
        assert isinstance(event, h11.Response)
        assert event.status_code < 500 or event.status_code in (501, 505)
        length = int(dict(event.headers)[b"content-length"])
        rest = heard.partition(b"\r\n\r\n")[2]
        while heard.startswith(b"HTTP/1.1 100"):
            heard = rest
            rest = heard.partition(b"\r\n\r\n")[2]
        heard = rest if rest.startswith(b"HTTP/1.1 ") else rest[length:]
