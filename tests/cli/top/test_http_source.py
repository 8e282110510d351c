"""Where ``top`` gets a status by HTTP: which address, which connection, and what is wrong."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trustme
from helpers.server import serving

from trioecho.cli.top.http_source import HttpSource, status_address
from trioecho.cli.top.source import Away
from trioecho.protocol.url import parse_address

STATUS = b'{"names":true,"missing":0,"nodes":[],"rooms":[],"clients":[]}'


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://a:9100/metrics", "ws://a:9100/status"),
        ("http://a:9100", "ws://a:9100/status"),
        ("a:9100/status", "ws://a:9100/status"),
        ("https://a/prefix/", "wss://a/prefix/status"),
        ("wss://a/prefix/status?token=x", "wss://a/prefix/status?token=x"),
        ("ws+unix:/run/m.sock", "ws+unix:/run/m.sock:/status"),
        ("http+unix:/run/m.sock:/metrics", "ws+unix:/run/m.sock:/status"),
    ],
)
def test_the_status_is_found_from_any_address_of_a_server(given: str, meant: str) -> None:
    assert status_address(given) == parse_address(meant)


async def test_it_asks_again_over_one_connection() -> None:
    async with serving(metrics_address="127.0.0.1:0") as server:
        source = HttpSource(status_address(server.server.metrics_urls[0]))
        first, second = await source.get(), await source.get()
        assert first.nodes[0].node == second.nodes[0].node
        assert second.nodes[0].at >= first.nodes[0].at
        stream = source._stream
        await source.get()
        assert source._stream is stream is not None
        await source.aclose()
        assert source._stream is None


async def test_a_token_from_a_file_is_read_for_each_request() -> None:
    tokens = iter(["one", "two"])
    heard: list[bytes] = []

    async def answer(stream: trio.SocketStream) -> None:
        for _ in range(2):
            heard.append(await stream.receive_some())
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(STATUS) + STATUS)

    async with listening(answer) as url:
        source = HttpSource(status_address(url), token=lambda: next(tokens), headers=[("X-A", "b")])
        await source.get()
        await source.get()
        await source.aclose()
    assert [b"Bearer one" in heard[0], b"Bearer two" in heard[1]] == [True, True]
    assert b"x-a: b" in heard[0].lower()


async def test_over_tls_a_certificate_that_is_not_trusted_is_said() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    listeners = await trio.open_ssl_over_tcp_listeners(0, theirs, host="127.0.0.1")
    async with serving(listeners=listeners) as server:
        address = status_address(server.url.replace("wss:", "https:"))
        source = HttpSource(address, ssl_context=ours)
        assert len((await source.get()).nodes) == 1
        await source.aclose()
        with pytest.raises(Away, match=r"the certificate of 127\.0\.0\.1 is not trusted"):
            await HttpSource(address).get()


@asynccontextmanager
async def listening(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """Let ``handler`` answer each connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "it has no /status: that is on its"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "it wants a token"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "it does not let this token in"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "it answers 503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "what it answers is no status of trioecho's"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2**23, "what it answers is no status of trioecho's"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "it closed the connection without an answer"),
        (b"", "it closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "what it answers is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * 2**20, "what it answers is not HTTP"),
    ],
)
async def test_what_is_wrong_is_one_sentence(answer: bytes, sentence: str) -> None:
    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            try:
                await stream.send_all(answer)
                await stream.send_eof()
                await stream.receive_some()
            except trio.BrokenResourceError:
                pass

    async with listening(handle) as url:
        source = HttpSource(status_address(url))
        with trio.fail_after(30), pytest.raises(Away) as away:
            await source.get()
        assert sentence in str(away.value)
        await source.aclose()


async def test_one_that_says_nothing_is_given_up(autojump_clock: object) -> None:
    async def keep_silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with listening(keep_silent) as url:
        source = HttpSource(status_address(url))
        with pytest.raises(Away, match="it does not answer within 5 seconds"):
            await source.get()
        assert source._stream is None


async def test_a_connection_that_the_server_has_closed_is_opened_again() -> None:
    async def once(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(STATUS) + STATUS)

    async with listening(once) as url:
        source = HttpSource(status_address(url))
        for _ in range(3):
            assert (await source.get()).nodes == ()
        await source.aclose()


def test_no_secret_of_the_address_is_shown() -> None:
    source = HttpSource(status_address("https://ada:hunter2@a/x?token=hunter2"))
    assert str(source) == "https://a/x/status?token=..." and "hunter2" not in repr(source)
