"""`open_client()` against other people's servers: what is sent, received, and how it ends."""

from __future__ import annotations

import errno
import subprocess
import sys
import threading

import pytest
import trio
from helpers.other_servers import RawServer, frame, frames_sent, raw_server, shake_hands, websockets_server
from websockets.sync.server import ServerConnection

from trioecho.client import (
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    Rejected,
    open_client,
)
from trioecho.options import OptionError


async def test_text_and_binary_come_back_as_they_were() -> None:
    messages: list[str | bytes] = ["one", "", b"", b"\x00\xff", "ünï", "x" * 100_000, b"y" * 100_000]
    with websockets_server() as url:
        async with open_client(url) as client:
            for message in messages:
                await client.send(message)
            assert [await client.receive() for _ in messages] == messages
            assert client.close_code is None
        assert client.close_code == 1000


async def test_iteration_ends_when_the_server_is_done() -> None:
    def three(connection: ServerConnection) -> None:
        for number in "123":
            connection.send(number)

    with websockets_server(three) as url:
        async with open_client(url) as client:
            assert [message async for message in client] == ["1", "2", "3"]
            assert (client.close_code, client.close_reason) == (1000, "")


async def test_any_other_close_is_raised_with_its_code_and_reason() -> None:
    def enough(connection: ServerConnection) -> None:
        connection.send("last")
        connection.close(4321, "enough")

    with websockets_server(enough) as url:
        async with open_client(url) as client:
            received = []
            with pytest.raises(
                ConnectionClosed, match=r"4321 \(an application's own code\), enough"
            ) as caught:
                async for message in client:
                    received.append(message)
            assert received == ["last"]
            assert (caught.value.code, caught.value.reason) == (4321, "enough")
            assert not isinstance(caught.value, ConnectionLost)
            with pytest.raises(ConnectionClosed):
                await client.send("too late")


async def test_what_the_server_sent_before_its_answer_can_be_received_after_closing() -> None:
    async def late(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        while not server.received:
            server.received += await stream.receive_some()
        await stream.send_all(frame(1, b"late") + frame(8, b"\x03\xe8"))

    async with raw_server(late) as server:
        async with open_client(server.url) as client:
            await client.close(1000, "bye")
            assert [message async for message in client] == ["late"]
    assert frames_sent(server.received) == [(8, b"\x03\xe8bye")]


async def test_a_cancelled_send_leaves_no_half_frame() -> None:
    """A server that does not read makes senders wait; what was taken before still comes whole."""
    go_on, received = threading.Event(), list[int]()

    def stalled(connection: ServerConnection) -> None:
        go_on.wait()
        received.extend(len(message) for message in connection)

    with websockets_server(stalled) as url:
        try:
            async with open_client(url) as client:
                taken = 0
                with trio.move_on_after(0.3) as scope:
                    while True:
                        await client.send(b"x" * 500_000)
                        taken += 1
                assert scope.cancelled_caught
                go_on.set()
                await client.send("after")
        finally:
            go_on.set()
    assert received == [500_000] * taken + [5]


async def test_leaving_by_an_exception_gives_that_exception_and_a_close_frame() -> None:
    async def quiet(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await server.listen(stream)

    async with raw_server(quiet) as server:
        with pytest.raises(LookupError, match="mine"):
            async with open_client(server.url, close_timeout=1):
                raise LookupError("mine")
        await server.hung_up.wait()
    assert frames_sent(server.received) == [(8, b"\x03\xe8")]


async def test_cancelling_cuts_the_connection_at_once() -> None:
    async def quiet(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await server.listen(stream)

    async with raw_server(quiet) as server:
        with trio.move_on_after(0.05) as scope:
            async with open_client(server.url) as client:
                await client.receive()
        assert scope.cancelled_caught
        await server.hung_up.wait()
    assert server.received == b""
    assert client.close_code == 1006


async def test_a_server_that_never_answers_the_close_frame_is_left_in_time() -> None:
    async def deaf(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await server.listen(stream)

    async with raw_server(deaf) as server:
        with (
            pytest.raises(ConnectionLost, match="did not answer our close frame in time"),
            trio.fail_after(2),
        ):
            async with open_client(server.url, close_timeout=0.5):
                pass


async def test_a_server_that_takes_nothing_is_left_in_time() -> None:
    async def stuck(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await trio.sleep_forever()

    async with raw_server(stuck) as server:
        with (
            pytest.raises(ConnectionLost, match=r"did not take in time .*; 1 message may"),
            trio.fail_after(2),
        ):
            async with open_client(server.url, close_timeout=0.05) as client:
                await client.send(b"x" * 20_000_000)


async def test_ping_measures_the_round_trip() -> None:
    with websockets_server() as url:
        async with open_client(url) as client:
            assert 0 < await client.ping() < 5


async def test_a_silent_server_is_found_dead() -> None:
    async def silent(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await server.listen(stream)

    async with raw_server(silent) as server:
        async with open_client(server.url, ping_interval=0.02, ping_timeout=0.05) as client:
            with pytest.raises(ConnectionLost, match=r"no sign of life for 0\.05 s after a ping"):
                await client.receive()


async def test_nobody_listens() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(ConnectFailed, match=r"connection refused \(nothing listens there\)"):
        async with open_client(f"ws://127.0.0.1:{port}/"):
            pass


async def test_a_refused_port_that_the_url_does_not_show_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    monkeypatch.setattr(trio, "open_tcp_stream", refused)
    with pytest.raises(ConnectFailed, match=r"connection refused \(nothing listens on port 80\)"):
        async with open_client("localhost"):
            pass


async def test_a_refusal_says_its_status_and_the_start_of_its_body() -> None:
    async def refuse(stream: trio.SocketStream, server: RawServer) -> None:
        await stream.receive_some()
        await stream.send_all(
            b"HTTP/1.1 403 Forbidden\r\nRetry-After: 7\r\nContent-Length: 10\r\n\r\nnot\nfor me"
        )

    async with raw_server(refuse) as server:
        with pytest.raises(Rejected, match=r"it answered HTTP 403 \(not for me\)") as caught:
            async with open_client(server.url):
                pass
    assert caught.value.status == 403
    assert ("retry-after", "7") in caught.value.headers


ANSWERS = {
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n": "what it answers is not HTTP",
    b"": "closed the connection without an answer",
    b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n": "does not answer ours",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi": r"answered HTTP 200 \(hi\)",
    b"HTTP/1.1 101 \xff\xfe\r\nConnection: \xff\r\nUpgrade: \xfe\r\n\r\n": "does not answer ours",
    b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000: "not HTTP",
}


@pytest.mark.parametrize("answer", ANSWERS)
async def test_what_answers_is_no_websocket_server(answer: bytes) -> None:
    async def other(stream: trio.SocketStream, server: RawServer) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    async with raw_server(other) as server:
        with pytest.raises(ConnectFailed, match=ANSWERS[answer]):
            async with open_client(server.url):
                pass


async def test_a_handshake_that_stalls_is_given_up() -> None:
    async def stall(stream: trio.SocketStream, server: RawServer) -> None:
        await server.listen(stream)

    async with raw_server(stall) as server:
        with pytest.raises(ConnectFailed, match=r"did not answer within 0\.05 s"):
            async with open_client(server.url, connect_timeout=0.05):
                pass
        await server.hung_up.wait()


@pytest.mark.parametrize(
    "url", ["http://x/", "ws://", "", "ws://x/#y", "ws://x y/", "ws://x:99999/", "ws+unix:a"]
)
async def test_a_url_that_cannot_work_is_told_before_anything_is_tried(url: str) -> None:
    with pytest.raises(OptionError):
        async with open_client(url):
            pass


def test_the_library_loads_nothing_of_the_command_line() -> None:
    program = "import sys, trioecho.client; print(*{'typer', 'rich', 'prompt_toolkit'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "\n"
