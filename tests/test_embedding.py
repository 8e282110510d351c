"""
trioecho inside a trio application: start, publish, subscribe, shut down, and cancel anything anywhere.

What is left behind is counted: trio's tasks before and after, and every client must see the end.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
import trio.testing
import trustme
from parts import lockstep, memory, sockets
from served import Peer, served
from traffic import Seen
from trio_websocket import open_websocket_url

import trioecho
from trioecho import Disconnected, Hub, Limits, ListenError, OptionError, Server, TooManyRooms

HALF = "half a message "


async def joined(server: Server, room: str = "/") -> Peer:
    """Join over TCP, as anybody would."""
    port = int(server.url.rpartition(":")[2].strip("/"))
    peer = Peer(await trio.open_tcp_stream("127.0.0.1", port))
    await peer.shake_hands(room)
    return peer


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


# Subscribing.


async def test_a_subscription_gets_what_a_client_gets() -> None:
    async with served(memory, prefix="said: ") as (server, join):
        async with server.hub.subscribe("/") as subscription:
            assert server.hub.rooms == {"/": 1}
            peer = await join("/")
            await peer.send("hello", b"\x00", "")
            await trio.testing.wait_all_tasks_blocked()
            assert await server.hub.publish("/", "from here") == 2
            got = [await anext(subscription) for _ in range(4)]
            assert got == ["said: hello", b"\x00", "said: ", "from here"]
        await trio.testing.wait_all_tasks_blocked()
        assert server.hub.rooms == {"/": 1}


async def test_the_room_of_a_subscription_ends_with_its_block() -> None:
    async with served() as (server, _):
        with pytest.raises(RuntimeError, match="the application's own"):
            async with server.hub.subscribe("/"):
                raise RuntimeError("the application's own")
        assert server.hub.rooms == {}


async def test_a_subscription_that_waits_loses_no_message_when_cancelled() -> None:
    async with served() as (server, _), server.hub.subscribe("/") as subscription:
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(subscription)
        for number in range(3):
            await server.hub.publish("/", str(number))
        await trio.testing.wait_all_tasks_blocked()
        assert await anext(subscription) == "0"
        with trio.CancelScope() as scope:
            scope.cancel()
            await anext(subscription)
        assert [await anext(subscription) for _ in range(2)] == ["1", "2"]


@pytest.mark.parametrize(
    ("when_slow", "gets"),
    [("drop-newest", ["0", "1", "2"]), ("drop-oldest", ["7", "8", "9"])],
)
async def test_a_slow_subscription_drops_as_a_client_does_and_counts(when_slow: str, gets: list[str]) -> None:
    options = {"when_slow": when_slow, "max_pending_bytes": 3 * (100 + 64), "max_message_size": 100}
    async with (
        served(**options) as (server, _),  # type: ignore[arg-type]
        server.hub.subscribe("/") as subscription,
    ):
        for number in range(10):
            await server.hub.publish("/", f"{number}{95 * '.'}")
            await trio.testing.wait_all_tasks_blocked()
        assert [str(await anext(subscription)).strip(".") for _ in range(3)] == gets
        assert subscription.dropped == 7


async def test_a_slow_subscription_is_disconnected_where_a_client_would_be(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for when_slow, why in (("disconnect", "full"), ("wait", "slow")):
        options = {"when_slow": when_slow, "max_pending_bytes": 300, "max_message_size": 100}
        async with (
            served(**options) as (server, _),  # type: ignore[arg-type]
            server.hub.subscribe("/") as subscription,
        ):
            for _ in range(10):
                await server.hub.publish("/", 95 * ".")
                await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(6)  # the stall limit is 5
            with pytest.raises(Disconnected) as caught:
                await anext(subscription)
            assert caught.value.why.name == why


async def test_subscribing_needs_a_rooms_name_and_room_for_it() -> None:
    async with served(max_rooms=1) as (server, _):
        for name in ("", "news", "/" + 255 * "x"):
            with pytest.raises(ValueError, match="255 bytes"):
                async with server.hub.subscribe(name):
                    pass
        async with server.hub.subscribe("/" + 254 * "x"):
            with pytest.raises(TooManyRooms):
                async with server.hub.subscribe("/"):
                    pass


# Shutting down.


async def test_shutdown_delivers_what_was_taken_then_says_1001_and_returns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    said: dict[str, list[Seen]] = {"one": [], "another": []}
    heard: list[str | bytes] = []
    async with served(memory) as (server, join), trio.open_nursery() as nursery:
        peers = {name: await join("/") for name in said}

        async def listen(name: str) -> None:
            said[name] = await peers[name].rest()

        async def iterate() -> None:
            async with server.hub.subscribe("/") as subscription:
                async for message in subscription:
                    heard.append(message)

        for name in said:
            nursery.start_soon(listen, name)
        nursery.start_soon(iterate)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(100):
            await server.hub.publish("/", str(number))
        with trio.fail_after(1):
            await server.shutdown()
            await server.shutdown()
        assert server.counters.left == {"shutdown": 2}
    assert heard == [str(number) for number in range(100)]
    for each in said.values():
        assert each == [*[("text", message) for message in heard], ("close", 1001)]


async def test_shutdown_delivers_a_backlog_to_who_still_takes_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A client that reads on within the time gets all that was queued for it, and the reason after it."""
    async with served(lockstep, shutdown_timeout=10) as (server, join), trio.open_nursery() as nursery:
        late = await join("/")
        sent = [f"{number} {100_000 * 'x'}" for number in range(20)]
        for message in sent:
            await server.hub.publish("/", message)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(server.shutdown)
        await trio.sleep(4)
        assert await late.rest() == [*[("text", message) for message in sent], ("close", 1001)]
        assert trio.current_time() < 5
        await trio.testing.wait_all_tasks_blocked()
        assert server.counters.left == {"shutdown": 1}
        assert (server.counters.messages_out, server.counters.messages_unsent) == (20, 0)


async def test_who_does_not_answer_is_cut_when_the_shutdown_timeout_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with served(lockstep, shutdown_timeout=3) as (server, join):
        silent = await join("/")
        await server.hub.publish("/", "nobody takes this")
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        await server.shutdown()
        assert trio.current_time() - began == pytest.approx(3)
        assert server.counters.left == {"cut": 1}
        assert (await silent.rest())[-1:] != [("close", 1001)]


async def test_no_connection_is_accepted_after_shutdown(nursery: trio.Nursery) -> None:
    server = await nursery.start(partial(trioecho.serve, port=0))
    port = int(server.url.rpartition(":")[2].strip("/"))
    await server.shutdown()
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_a_cancelled_shutdown_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    async with served(memory) as (server, join), trio.open_nursery() as nursery:
        peer = await join("/")
        with trio.CancelScope() as scope:
            scope.cancel()
            await server.shutdown()
        nursery.start_soon(peer.rest)
        await server.shutdown()
        assert server.counters.left == {"shutdown": 1}


# Cancelling.


async def nothing_yet(server: Server) -> list[trio.abc.Stream]:
    return []


async def connected_only(server: Server) -> list[trio.abc.Stream]:
    port = int(server.url.rpartition(":")[2].strip("/"))
    return [await trio.open_tcp_stream("127.0.0.1", port)]


async def half_a_handshake(server: Server) -> list[trio.abc.Stream]:
    (stream,) = await connected_only(server)
    await stream.send_all(b"GET / HTTP/1.1\r\nHos")
    return [stream]


async def refused(server: Server) -> list[trio.abc.Stream]:
    (stream,) = await connected_only(server)
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    return [stream]


async def in_rooms(server: Server) -> list[trio.abc.Stream]:
    peers = [await joined(server, room) for room in ("/", "/", "/news")]
    await peers[0].send("hello")
    return [peer.stream for peer in peers]


async def with_a_backlog_and_publishers_who_wait(server: Server) -> list[trio.abc.Stream]:
    _, publisher = peers = [await joined(server), await joined(server)]
    with trio.move_on_after(1):
        while True:
            await publisher.send(1_000_000 * "x")
    return [peer.stream for peer in peers]


async def shutting_down(server: Server) -> list[trio.abc.Stream]:
    streams = await with_a_backlog_and_publishers_who_wait(server)
    with trio.CancelScope() as scope:
        scope.cancel()
        await server.shutdown()
    await trio.testing.wait_all_tasks_blocked()
    return streams


@pytest.mark.parametrize(
    "stage",
    [
        nothing_yet,
        connected_only,
        half_a_handshake,
        refused,
        in_rooms,
        with_a_backlog_and_publishers_who_wait,
        shutting_down,
    ],
)
async def test_cancelled_at_any_stage_it_leaves_nothing_behind(
    stage: Callable[[Server], Awaitable[list[trio.abc.Stream]]], autojump_clock: trio.testing.MockClock
) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(trioecho.serve, port=0))
        streams = await stage(server)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.lowlevel.current_statistics().tasks_living == before
    with trio.fail_after(2):
        for stream in streams:
            await reads_to_the_end(stream)
            await stream.aclose()


async def reads_to_the_end(stream: trio.abc.Stream) -> None:
    try:
        while await stream.receive_some(1_000_000):
            pass
    except trio.BrokenResourceError:
        pass  # cut with unread bytes: a reset, which is an end too


async def test_when_the_clients_are_gone_no_task_is_left_of_them() -> None:
    async with served(sockets) as (server, join):
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        polite, rude = await join("/one"), await join("/two")
        assert trio.lowlevel.current_statistics().tasks_living > before
        await polite.close()
        assert await polite.rest() == [("close", 1000)]
        await rude.stream.aclose()
        while server.hub.rooms:
            await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert server.counters.left == {"left": 1, "lost": 1}


async def test_an_error_of_the_application_ends_the_server_with_it() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trioecho.serve, port=0))
            raise KeyError("the application's own")
    assert [type(error) for error in caught.value.exceptions] == [KeyError]


async def test_a_hub_stands_alone_with_a_nursery(nursery: trio.Nursery) -> None:
    hub = Hub(Limits(), nursery)
    async with hub.subscribe("/") as subscription:
        assert await hub.publish("/", "hello") == 1
        assert await anext(subscription) == "hello"
    assert hub.rooms == {}
