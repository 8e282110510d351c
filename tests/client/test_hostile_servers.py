"""What a server sends can't exhaust a client, deceive it, or reach the terminal of the person behind it."""

from __future__ import annotations

import base64
import hashlib

import pytest
import trio
import trio.lowlevel
import trio.testing
from helpers.other_servers import RawServer, frame, frames_sent, raw_server, shake_hands

from trioecho.client import ConnectFailed, ConnectionClosed, NotWebSocket, Rejected, keepalive, open_client
from trioecho.client.send_queue import MAX_PONGS, SendQueue

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


async def test_every_ping_of_one_read_is_answered_in_order() -> None:
    payloads = [str(number).encode() for number in range(10)]

    async def ping(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(b"".join(frame(9, payload) for payload in payloads) + frame(1, b"done"))
        await server.listen(stream)

    async with raw_server(ping) as server:
        async with open_client(server.url, close_timeout=0.1) as client:
            assert await client.receive() == "done"
            with pytest.raises(ConnectionClosed):
                await client.close()
                await client.receive()
        await server.hung_up.wait()
    assert frames_sent(server.received)[:-1] == [(10, payload) for payload in payloads]


async def test_answers_that_nobody_takes_are_bounded_and_the_latest_are_kept() -> None:
    queue = SendQueue()
    for number in range(100_000):
        queue.put_pong(b"%06d" % number)
    chunk = bytes(await queue.take())
    assert len(chunk) < MAX_PONGS
    assert chunk.endswith(b"099998099999")


async def answer(stream: trio.SocketStream, head: bytes) -> None:
    """Answer a handshake with these lines, where KEY stands for the right answer to the client's key."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += await stream.receive_some()
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key.split()[1] + GUID).digest())
    await stream.send_all(b"HTTP/1.1 101 Switching\r\n" + head.replace(b"KEY", accept) + b"\r\n")


UPGRADE, CONNECTION = b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n"
ACCEPT = b"Sec-WebSocket-Accept: KEY\r\n"


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE + b"Connection: not-an-upgrade\r\n" + ACCEPT,
        UPGRADE + b"Connection: upgraded\r\n" + ACCEPT,
        UPGRADE + ACCEPT,
        UPGRADE + CONNECTION + ACCEPT + ACCEPT,
        UPGRADE + CONNECTION + ACCEPT + b"Sec-WebSocket-Accept: x\r\n",
        UPGRADE + UPGRADE + CONNECTION + ACCEPT,
        b"Upgrade: websocket2\r\n" + CONNECTION + ACCEPT,
        UPGRADE + CONNECTION + ACCEPT + b"Sec-WebSocket-Extensions: x-other\r\n",
        UPGRADE + CONNECTION + ACCEPT + b"Sec-WebSocket-Protocol: \x1b[31m\r\n",
        UPGRADE + CONNECTION + ACCEPT + b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a\r\n",
        UPGRADE + CONNECTION + ACCEPT + b"Sec-WebSocket-Protocol: " + b"b" * 20_000 + b"\r\n",
    ],
)
async def test_a_handshake_that_is_not_quite_one(head: bytes) -> None:
    async def nearly(stream: trio.SocketStream, server: RawServer) -> None:
        await answer(stream, head)
        await server.listen(stream)

    async with raw_server(nearly) as server:
        with pytest.raises(NotWebSocket) as caught:
            async with open_client(server.url, subprotocols=["a"]):
                pass
    assert len(str(caught.value)) < 300 and str(caught.value).isprintable()


@pytest.mark.parametrize("connection", [b"keep-alive, UPGRADE", b"keep-alive\r\nConnection: upgrade"])
async def test_a_handshake_with_more_options_is_one(connection: bytes) -> None:
    async def proxied(stream: trio.SocketStream, server: RawServer) -> None:
        await answer(stream, b"Upgrade: WebSocket\r\nConnection: " + connection + b"\r\n" + ACCEPT)
        await stream.send_all(frame(8, b"\x03\xe8"))
        await server.listen(stream)

    async with raw_server(proxied) as server:
        async with open_client(server.url) as client:
            assert [message async for message in client] == []


async def test_header_lines_without_end_are_not_kept() -> None:
    async def endless(stream: trio.SocketStream, server: RawServer) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 101 Switching\r\n")
        try:
            while True:
                await stream.send_all(b"X: y\r\n" * 1000)
        except trio.BrokenResourceError:
            server.hung_up.set()

    async with raw_server(endless) as server:
        with pytest.raises(ConnectFailed, match="not HTTP"):
            async with open_client(server.url):
                pass
        with trio.fail_after(2):
            await server.hung_up.wait()


async def test_interim_responses_without_end_are_not_skipped_for_ever() -> None:
    async def continue_(stream: trio.SocketStream, server: RawServer) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000)
        await server.listen(stream)

    async with raw_server(continue_) as server:
        with pytest.raises(NotWebSocket, match="it sends interim responses without end"):
            async with open_client(server.url):
                pass


@pytest.mark.parametrize("said", [b"\x1b[2Jgone", "\x9b31m".encode(), b"a\r\nb", "\u202eabc".encode()])
async def test_a_body_and_a_reason_are_quoted_so_that_no_terminal_obeys(said: bytes) -> None:
    async def reject(stream: trio.SocketStream, server: RawServer) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 403 No\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))

    async with raw_server(reject) as server:
        with pytest.raises(Rejected) as rejected:
            async with open_client(server.url):
                pass
    assert str(rejected.value).isprintable()
    assert rejected.value.body == said

    async def close(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(8, b"\x03\xf0" + said))
        await server.listen(stream)

    async with raw_server(close) as server:
        async with open_client(server.url) as client:
            with pytest.raises(ConnectionClosed) as closed:
                await client.receive()
    assert str(closed.value).isprintable()
    assert closed.value.reason == said.decode()


async def test_one_byte_a_fragment_takes_time_in_proportion() -> None:
    """A message of a quarter of a million fragments is put together, and other tasks run meanwhile."""
    size, turns = 250_000, 0

    async def shred(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(2, final=False) + frame(0, b"x", final=False) * size + frame(0))
        await server.listen(stream)

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with raw_server(shred) as server:
        async with open_client(server.url, close_timeout=0.1) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(count)
                assert await client.receive() == b"x" * size
                nursery.cancel_scope.cancel()
            with pytest.raises(ConnectionClosed):
                await client.close()
                await client.receive()
    assert turns > size / 300


@pytest.mark.parametrize("after", [b"\xff" * 1000, frame(1, b"more"), frame(8, b"\x03\xe9")])
async def test_what_comes_after_a_close_frame_is_ignored(after: bytes) -> None:
    async def talk_on(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(8, b"\x03\xe8bye") + after)
        try:
            while True:
                await stream.send_all(after * 100)
        except trio.BrokenResourceError:
            server.hung_up.set()

    async with raw_server(talk_on) as server:
        with trio.fail_after(5):
            async with open_client(server.url) as client:
                assert [message async for message in client] == []
            assert (client.close_code, client.close_reason) == (1000, "bye")
            await server.hung_up.wait()


async def test_a_reason_of_ten_megabytes_is_a_broken_frame() -> None:
    async def ramble(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        reason = b"\x03\xe8" + b"x" * 10_000_000
        try:
            await stream.send_all(b"\x88\x7f" + len(reason).to_bytes(8, "big") + reason)
        except trio.BrokenResourceError:
            pass

    async with raw_server(ramble) as server:
        async with open_client(server.url) as client:
            with pytest.raises(ConnectionClosed) as caught:
                await client.receive()
    assert caught.value.code == 1002
    assert len(str(caught.value)) < 300


async def test_a_stopped_process_does_not_take_its_server_for_dead(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After Ctrl-Z and `fg` all timers are over at once, before anything could be read."""
    pings: list[float] = []

    def stop() -> None:
        pings.append(trio.current_time())
        if len(pings) == 2:
            autojump_clock.jump(1000)

    await keepalive.watch(20, 20, ping=stop, alive=lambda since: len(pings) in (1, 2))
    assert len(pings) == 3
