"""trioecho inside a trio application: where it listens, and what the application publishes."""

from __future__ import annotations

import ssl
from functools import partial

import pytest
import trio
import trio.testing
import trustme
from helpers.streams import memory
from helpers.virtual_server import served
from trio_websocket import open_websocket_url

import trioecho
from trioecho import ListenError, OptionError

# Starting.


async def test_start_returns_a_server_with_the_real_address(nursery: trio.Nursery) -> None:
    server = await nursery.start(partial(trioecho.serve, port=0))
    assert server.url.startswith("ws://127.0.0.1:")
    assert not server.url.endswith(":0/")
    async with open_websocket_url(server.url + "news") as client:
        assert server.hub.rooms == {"/news": 1}
        await server.hub.publish("/news", "hello")
        assert await client.get_message() == "hello"
    await server.shutdown()


async def test_one_address_for_every_host_on_one_port(nursery: trio.Nursery) -> None:
    server = await nursery.start(partial(trioecho.serve, host=["127.0.0.1", "127.0.0.2"], port=0))
    ports = {url.rpartition(":")[2] for url in server.urls}
    assert len(server.urls) == 2
    assert len(ports) == 1
    nursery.cancel_scope.cancel()


async def test_an_option_that_cannot_work_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(OptionError, match=r"^to must be one of"):
        await trioecho.serve(port=0, to="nobody")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"^port must be"):
        await trioecho.serve(port=65_536)
    with pytest.raises(OptionError, match=r"^host must be"):
        await trioecho.serve(host=[], port=0)


async def test_a_port_that_is_taken_is_one_sentence(nursery: trio.Nursery) -> None:
    server = await nursery.start(partial(trioecho.serve, port=0))
    port = int(server.url.rpartition(":")[2].strip("/"))
    with pytest.raises(ListenError, match=f"^cannot listen on 127.0.0.1:{port}: address already in use; .*"):
        await trioecho.serve(port=port)
    nursery.cancel_scope.cancel()


async def test_tls_is_a_listener_like_any_other(nursery: trio.Nursery) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    listeners = await trio.open_ssl_over_tcp_listeners(0, ours, host="127.0.0.1")
    server = await nursery.start(partial(trioecho.serve, listeners=listeners, prefix="said: "))
    assert server.url.startswith("wss://127.0.0.1:")
    url = server.url.replace("127.0.0.1", "localhost")
    async with (
        open_websocket_url(url, ssl_context=theirs) as one,
        open_websocket_url(url, ssl_context=theirs) as another,
    ):
        for size in (0, 100, 500_000):
            await one.send_message(size * "x")
            assert await another.get_message() == "said: " + size * "x"
        await another.send_message(b"\x00")
        assert await one.get_message() == b"\x00"
    await server.shutdown()


# Publishing.


@pytest.mark.parametrize("message", ["hello", "", b"\x00\xff", bytearray(b"\x01"), 100 * "é"])
async def test_publish_reaches_everybody_in_the_room_and_says_how_many(message: str | bytes) -> None:
    async with served(memory, prefix="not for us: ") as (server, join):
        here = [await join("/here") for _ in range(3)]
        await join("/there")
        assert await server.hub.publish("/here", message) == 3
        assert await server.hub.publish("/nowhere", message) == 0
        for peer in here:
            expected = ("text", message) if isinstance(message, str) else ("binary", bytes(message))
            assert await peer.next() == expected
        assert server.hub.rooms == {"/here": 3, "/there": 1}


async def test_publish_refuses_what_no_client_could_send() -> None:
    async with served(max_message_size=10) as (server, _):
        for room in ("/", "/nowhere"):  # whether anybody is there or not
            with pytest.raises(TypeError, match="str or bytes"):
                await server.hub.publish(room, 7)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="12 bytes; max_message_size is 10"):
                await server.hub.publish(room, 6 * "é")
            with pytest.raises(ValueError, match="surrogates"):
                await server.hub.publish(room, "\ud800")
        assert server.hub.rooms == {}


async def test_a_cancelled_publish_was_not_taken(autojump_clock: trio.testing.MockClock) -> None:
    """The room waits for a stuck client, so its publishers wait, the application too."""
    async with served(max_pending_bytes=1000, max_message_size=1000, stall_limit=1000) as (server, join):
        peer = await join("/")
        published = 0
        with trio.move_on_after(1):
            while True:
                await server.hub.publish("/", f"{published} {900 * '.'}")
                published += 1
        heard = 0
        with trio.move_on_after(1):
            while True:
                _, said = await peer.next()
                assert str(said).startswith(f"{heard} ")
                heard += 1
        assert heard == published > 0
