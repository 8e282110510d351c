"""Coming back: the policy's arithmetic, what it comes back from, and what runs on over the gap."""

from __future__ import annotations

import itertools
import random
import statistics

import pytest
import trio
import trio.testing
from helpers.other_servers import RawServer, frame, frames_sent, raw_server, shake_hands

from trioecho.client import (
    CertificateNotTrusted,
    Change,
    CloseInfo,
    Connected,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    NotWebSocket,
    Reconnect,
    Reconnecting,
    Rejected,
    open_client,
)
from trioecho.options import OptionError

AT_ONCE = Reconnect(first_delay=0.001, longest_delay=0.001)


def rejected(status: int, retry_after: str | None = None) -> Rejected:
    headers = () if retry_after is None else (("retry-after", retry_after),)
    return Rejected("it", status, headers, b"")


def test_delays_are_spread_over_the_whole_range_and_double() -> None:
    random.seed(1)
    policy = Reconnect(first_delay=1, longest_delay=60)
    for attempt, longest in enumerate([1, 2, 4, 8, 16, 32, 60, 60]):
        delays = [policy.delay(attempt) for _ in range(2000)]
        assert 0 <= min(delays) < 0.02 * longest and 0.98 * longest < max(delays) <= longest
        assert abs(statistics.mean(delays) - longest / 2) < 0.05 * longest
    assert policy.delay(10**6) <= 60


def test_retry_after_is_waited_for() -> None:
    policy = Reconnect(first_delay=1, longest_delay=2)
    assert policy.delay(0, rejected(503, "120")) == 120
    assert policy.delay(0, rejected(503, "9" * 50)) == 86_400
    assert policy.delay(0, rejected(503, "Wed, 21 Oct 2015 07:28:00 GMT")) <= 1
    for nonsense in ("", "soon", "-1", "²"):
        assert policy.delay(0, rejected(503, nonsense)) <= 1


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013, 4000])
def test_which_close_codes_come_back(code: int) -> None:
    assert Reconnect().after_end(CloseInfo.by_server("it", code, "")) is (
        code in (1001, 1006, 1011, 1012, 1013)
    )


def test_what_we_broke_off_does_not_come_back() -> None:
    assert not Reconnect().after_end(CloseInfo.gave_up("it", 1011, "lied"))
    assert not Reconnect().after_end(CloseInfo.ours())


@pytest.mark.parametrize(
    ("error", "back"),
    [
        (ConnectFailed("refused"), True),
        (CertificateNotTrusted("x"), False),
        (NotWebSocket("x"), False),
        (rejected(403), False),
        (rejected(429), False),
        (rejected(429, "1"), True),
        (rejected(301), False),
        (rejected(503), True),
    ],
)
def test_which_failures_are_tried_again(error: ConnectFailed, back: bool) -> None:
    assert Reconnect().after_failure(error, 0) is back
    assert not Reconnect(attempts=1).after_failure(error, 0)


@pytest.mark.parametrize("options", [{"first_delay": 0}, {"longest_delay": 1e9}, {"attempts": 0}])
def test_policies_that_cannot_work(options: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        Reconnect(**options)


async def test_it_waits_as_long_as_it_says(autojump_clock: trio.testing.MockClock) -> None:
    """The failing attempts of half an hour, in virtual time."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    changes: list[Change] = []
    policy = Reconnect(first_delay=1, longest_delay=60, attempts=60)
    start = trio.current_time()
    with pytest.raises(ConnectFailed, match="connection refused"):
        async with open_client(f"ws://127.0.0.1:{port}/", reconnect=policy, on_change=changes.append):
            pass
    delays = [change.delay for change in changes if isinstance(change, Reconnecting)]
    assert len(delays) == len(changes) == 59
    assert trio.current_time() - start == pytest.approx(sum(delays), abs=1)


async def test_messages_go_on_over_a_restart() -> None:
    """Messages that were not begun to be written reach the next connection, behind the greeting."""
    connections = itertools.count(1)
    changes: list[Change] = []

    async def restarting(stream: trio.SocketStream, server: RawServer) -> None:
        number = next(connections)
        await shake_hands(stream)
        await stream.send_all(frame(1, f"hello from {number}".encode()))
        if number < 3:
            await stream.send_all(frame(8, (1012).to_bytes(2, "big")))
        else:
            server.received.clear()
        await server.listen(stream)

    async with raw_server(restarting) as server:
        async with open_client(
            server.url, greeting="me again", reconnect=AT_ONCE, on_change=changes.append, close_timeout=0.1
        ) as client:
            for number in (1, 2, 3):
                assert await client.receive() == f"hello from {number}"
            await client.send("still there")
            assert client.close_info is None
            with pytest.raises(ConnectionLost):
                await client.close()
                await client.receive()
    assert frames_sent(server.received)[0] == (1, b"me again")
    assert frames_sent(server.received)[1] == (1, b"still there")
    assert [type(change) for change in changes] == [
        Connected,
        Reconnecting,
        Connected,
        Reconnecting,
        Connected,
    ]
    assert changes[0] == Connected(0)
    assert isinstance(changes[1], Reconnecting) and "1012 (service restart)" in str(changes[1].error)
    assert isinstance(changes[2], Connected) and changes[2].downtime > 0


async def test_senders_wait_while_reconnecting() -> None:
    """A message sent while there is no connection is sent on the next one."""
    back, lost = trio.Event(), trio.Event()
    connections = itertools.count(1)

    async def restarting(stream: trio.SocketStream, server: RawServer) -> None:
        if next(connections) == 1:
            await shake_hands(stream)
            await stream.send_all(frame(8, (1001).to_bytes(2, "big")))
            return
        await back.wait()
        await shake_hands(stream)
        await server.listen(stream)

    def note(change: Change) -> None:
        if isinstance(change, Reconnecting):
            lost.set()

    async with raw_server(restarting) as server:
        async with open_client(server.url, reconnect=AT_ONCE, on_change=note, close_timeout=0.1) as client:
            await lost.wait()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, "while away")
                await trio.testing.wait_all_tasks_blocked(0.01)
                back.set()
            with pytest.raises(ConnectionClosed):
                await client.close()
                await client.receive()
    assert frames_sent(server.received)[0] == (1, b"while away")


async def test_closing_while_reconnecting_ends_it() -> None:
    lost = trio.Event()
    connections = itertools.count(1)

    async def once(stream: trio.SocketStream, server: RawServer) -> None:
        if next(connections) == 1:
            await shake_hands(stream)

    def note(change: Change) -> None:
        if isinstance(change, Reconnecting):
            lost.set()

    async with raw_server(once) as server:
        slowly = Reconnect(first_delay=1000, longest_delay=1000)
        with trio.fail_after(2), pytest.raises(ConnectionLost, match="ended without a close frame"):
            async with open_client(server.url, reconnect=slowly, on_change=note) as client:
                await lost.wait()
                await client.close()


async def test_it_gives_up_with_the_last_failure() -> None:
    connections = itertools.count(1)

    async def never_again(stream: trio.SocketStream, server: RawServer) -> None:
        if next(connections) == 1:
            return await _hello_and_gone(stream)
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(never_again) as server:
        async with open_client(server.url, reconnect=AT_ONCE) as client:
            assert await client.receive() == "hello"
            with pytest.raises(ConnectionLost, match="HTTP 404"):
                await client.receive()
            with pytest.raises(ConnectionLost, match="HTTP 404"):
                await client.send("x")


async def _hello_and_gone(stream: trio.SocketStream) -> None:
    await shake_hands(stream)
    await stream.send_all(frame(1, b"hello"))
