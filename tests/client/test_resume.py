"""The client comes back to where it was, and does without where the server knows nothing of it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import trio
from helpers.other_servers import RawServer, frame, raw_server, shake_hands
from helpers.relay import Relay
from helpers.server import serving
from hypothesis import given
from hypothesis import strategies as st

from trioecho.client import (
    Change,
    ClientOptions,
    ConnectionLost,
    Missed,
    Reconnect,
    open_client,
)
from trioecho.client.resuming import BadHead, ResumingQueue
from trioecho.options import OptionError
from trioecho.protocol.url import parse_address

AT_ONCE = Reconnect(first_delay=0.001, longest_delay=0.001)
HEAD = '{"epoch":"k3x9f2aa","offset":41,"count":1}'


async def test_it_misses_nothing_or_is_told() -> None:
    async with serving(history=20, history_bytes=4_000) as server, trio.open_nursery() as nursery:
        relay = Relay(int(server.url.rstrip("/").rpartition(":")[2]))
        await nursery.start(relay.run)
        changes: list[Change] = []
        options: Any = {"resume": True, "reconnect": AT_ONCE, "on_change": changes.append}
        async with open_client(f"ws://127.0.0.1:{relay.port}/news?last=5&x=1", **options) as client:
            said = 0

            async def say(count: int) -> None:
                nonlocal said
                for _ in range(count):
                    await server.server.hub.publish("/news", str(said))
                    said += 1

            await say(3)
            assert [await client.receive() for _ in range(3)] == ["0", "1", "2"]
            assert client.subprotocol == "trioecho.v1"
            assert client.place is not None and client.place.endswith("-3")
            relay.cut()
            await server.event("disconnected", room="/news")
            await say(10)
            relay.mend()
            assert [await client.receive() for _ in range(10)] == [str(number) for number in range(3, 13)]
            assert not [change for change in changes if isinstance(change, Missed)]
            relay.cut()
            await server.event("disconnected", room="/news", count=2)
            await say(500)
            relay.mend()
            first = int(await client.receive())
            assert [change for change in changes if isinstance(change, Missed)] == [Missed(first - 13)]
            assert not isinstance(client.state, Missed)
            while first < said - 1:
                first += 1
                assert await client.receive() == str(first)
        nursery.cancel_scope.cancel()


async def test_without_it_nothing_is_offered_and_heads_are_messages_like_any_other() -> None:
    async with serving() as server, open_client(f"{server.url}news") as client:
        await server.event("connected", room="/news")
        await server.server.hub.publish("/news", HEAD)
        assert await client.receive() == HEAD
        assert (client.place, client.subprotocol) == (None, None)


@pytest.mark.parametrize("options", [{"to": "sender"}, {"subprotocols": ("chat",), "to": "sender"}])
async def test_with_a_server_that_does_not_speak_it_messages_are_plain(options: Any) -> None:
    async with serving(**options) as server:
        async with open_client(f"{server.url}news", resume=True, subprotocols=["chat"]) as client:
            assert client.subprotocol == "chat"
            await client.send(HEAD)
            assert await client.receive() == HEAD
            assert client.place is None


async def test_a_server_that_agrees_to_anything_and_says_nothing_of_it_is_a_plain_one() -> None:
    connections = itertools.count(1)

    async def agreeing(stream: trio.SocketStream, server: RawServer) -> None:
        head = await shake_hands(stream, b"Sec-WebSocket-Protocol: trioecho.v1\r\n")
        assert b"?after" not in head
        for text in ("hello", HEAD):
            await stream.send_all(frame(1, f"{text} {next(connections)}".encode()))
        await server.listen(stream)

    async with raw_server(agreeing) as server:
        async with open_client(server.url, resume=True, close_timeout=0.1) as client:
            assert [await client.receive() for _ in range(2)] == ["hello 1", f"{HEAD} 2"]
            with pytest.raises(ConnectionLost):
                await client.close()
                await client.receive()


async def test_a_server_that_breaks_it_is_told_so() -> None:
    async def breaking(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream, b"Sec-WebSocket-Protocol: trioecho.v1\r\n")
        for text in (HEAD, "a message", "another"):
            await stream.send_all(frame(1, text.encode()))
        await server.listen(stream)

    async with raw_server(breaking) as server:
        with pytest.raises(ConnectionLost, match=r"broke trioecho\.v1: a message that is no head"):
            async with open_client(server.url, resume=True, close_timeout=0.1) as client:
                assert await client.receive() == "a message"
                await client.receive()


def test_the_address_asks_for_what_follows() -> None:
    queue = ResumingQueue(lambda count: None)
    address = parse_address("ws://localhost/news?last=5&a=1&after=k3x9f2aa-7")
    assert queue.asking(address) == address
    queue.begin("trioecho.v1")
    queue.put(HEAD)
    queue.put("message 42")
    assert queue.place == "k3x9f2aa-42"
    assert queue.asking(address).resource == "/news?a=1&after=k3x9f2aa-42"
    assert queue.asking(parse_address("ws://localhost/")).resource == "/?after=k3x9f2aa-42"


@pytest.mark.parametrize(
    "head",
    [
        b"{}",
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        '{"epoch":"../../..","offset":1,"count":1}',
        '{"epoch":"k3x9f2aa","offset":-1,"count":1}',
        '{"epoch":"k3x9f2aa","offset":1.5,"count":1}',
        '{"epoch":"k3x9f2aa","offset":true,"count":1}',
        '{"epoch":"k3x9f2aa","offset":1}',
        '{"epoch":"k3x9f2aa","offset":1,"count":1,"missed":"17"}',
        '{"epoch":"k3x9f2aa","offset":1,"count":1,"missed":-1}',
    ],
    ids=range(13),
)
def test_what_is_no_head_is_said_to_be_none(head: str | bytes) -> None:
    queue = ResumingQueue(lambda count: None)
    queue.begin("trioecho.v1")
    queue.put('{"epoch":"k3x9f2aa","offset":0,"count":0}')
    with pytest.raises(BadHead):
        queue.put(head)


@given(st.lists(st.text() | st.binary() | st.just(HEAD)))
def test_whatever_a_server_sends_is_a_message_or_a_bad_head(messages: list[str | bytes]) -> None:
    queue = ResumingQueue(lambda count: None)
    queue.begin("trioecho.v1")
    try:
        for message in messages:
            queue.put(message)
    except BadHead:
        pass


def test_resume_is_true_or_false() -> None:
    with pytest.raises(OptionError, match="resume must be True or False"):
        ClientOptions(resume="yes")  # type: ignore[arg-type]
