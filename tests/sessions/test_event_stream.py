"""A room as Server-Sent Events: a subscriber like any other, over plain HTTP."""

from __future__ import annotations

import base64
import re
import subprocess
from functools import partial

import pytest
import trio
from helpers.http_client import asking, fetch, head_of, http_url, needs_curl
from helpers.memory_listener import MemoryListener
from helpers.raw_peer import BINARY, TEXT, frame, joined, request
from helpers.server import serving, unharmed
from hypothesis import given
from hypothesis import strategies as st

from trioecho import serve
from trioecho.protocol import frames
from trioecho.rooms.batch import Batch, Origin, as_events

EVENTS = {"Accept": "text/event-stream"}


def parsed(stream: bytes) -> list[str | bytes]:
    """Read events as the HTML standard says (9.2.6), and binary ones as what they stand for."""
    messages: list[str | bytes] = []
    lines: list[str] = []
    kind = ""
    for line in re.split("\r\n|\r|\n", stream.decode()):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if lines:
                text = "\n".join(lines)
                messages.append(base64.b64decode(text, validate=True) if kind == "binary" else text)
            kind, lines = "", []
        elif field == "data":
            lines.append(value)
        elif field == "event":
            kind = value
    return messages


messages = st.lists(st.one_of(st.text(), st.text(alphabet="\r\n: a"), st.binary()))


@given(messages)
def test_every_message_is_read_as_it_was_with_its_line_ends_as_lf(sent: list[str | bytes]) -> None:
    batch = Batch(Origin.APPLICATION, b"".join([frames.encode(message) for message in sent]), len(sent))
    expected = [re.sub("\r\n|\r", "\n", one) if isinstance(one, str) else one for one in sent]
    assert parsed(batch.encoded(as_events)) == expected


def test_a_batch_is_encoded_once_for_all_streams() -> None:
    batch = Batch(Origin.APPLICATION, frames.encode("hello"), 1)
    assert batch.encoded(as_events) is batch.encoded(as_events)


@needs_curl
async def test_curl_listens_to_websocket_clients_as_its_messages_come() -> None:
    async with serving() as server, joined(server.url, b"/room") as peer:
        command = ["curl", "-sN", "-H", "Accept: text/event-stream", http_url(server.url) + "room"]
        async with trio.open_nursery() as nursery:
            curl = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
            nursery.start_soon(curl.wait)
            await server.event("connected", kind="events", room="/room")
            assert curl.stdout is not None
            heard = b""
            for opcode, payload, event in (
                (TEXT, "héllo".encode(), "data: héllo\n\n"),
                (TEXT, b"two\nlines", "data: two\ndata: lines\n\n"),
                (TEXT, b"", "data: \n\n"),
                (BINARY, b"\x00\xff", "event: binary\ndata: AP8=\n\n"),
            ):
                await peer.send(frame(opcode, payload))
                while not heard.endswith(event.encode()):
                    heard += await curl.stdout.receive_some()
            curl.terminate()
            left = await server.event("disconnected", kind="events")
            assert (left["why"], left["sent"], left["room"]) == ("client-closed", 4, "/room")


async def test_the_head_says_what_proxies_and_browsers_need_and_head_shows_it_alone() -> None:
    async with unharmed() as server:
        for method in ("GET", "HEAD"):
            async with asking(server.url) as peer:
                await peer.send(head_of(method=method, headers=EVENTS))
                answer = await peer.read_head()
                assert answer.status == 200
                assert answer.headers == {
                    "content-type": "text/event-stream",
                    "cache-control": "no-store",
                    "vary": "Accept",
                    "x-accel-buffering": "no",
                    "connection": "close",
                }
                if method == "HEAD":
                    assert await peer.is_ended()
                else:
                    await peer.read_until(b": listening\n\n")
        await server.event("disconnected", kind="events")
        assert len(server.find("connected", kind="events")) == 1


async def test_a_room_too_many_is_refused_and_the_connection_goes_on_no_further() -> None:
    async with serving(max_rooms=1) as server, joined(server.url, b"/room"):
        answer = await fetch(server.url, "/other", headers=EVENTS)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("policy", ["wait", "disconnect", "drop-oldest", "drop-newest"])
async def test_a_stream_that_is_not_read_is_a_slow_client_and_the_others_lose_nothing(policy: str) -> None:
    limits = {"max_pending_bytes": 2**20, "max_message_size": 2**20, "stall_limit": 0.3}
    async with serving(when_slow=policy, **limits) as server:  # type: ignore[arg-type]
        async with asking(server.url) as slow, joined(server.url, b"/room") as reader:
            slow.take_little()
            await slow.send(head_of("/room", headers=EVENTS))
            await server.event("connected", kind="events")
            sent = 150
            for number in range(sent):
                message = number.to_bytes(2) + bytes(100_000)
                await server.server.hub.publish("/room", message)
                assert await reader.read_frame() == (BINARY, message)
            if policy in ("wait", "disconnect"):
                why = {"wait": "slow", "disconnect": "full"}[policy]
                left = await server.event("disconnected", kind="events", why=why)
                assert left["dropped"] == 0
            else:
                await server.event("dropping", kind="events", room="/room")
                slow.vanish(reset=True)
                left = await server.event("disconnected", kind="events")
                assert left["sent"] + left["dropped"] + left["unsent"] == sent and left["dropped"] > 0
        counters = server.server.counters
        assert counters.messages_dropped == left["dropped"]


async def test_a_shutdown_delivers_what_was_taken_and_ends_the_stream() -> None:
    async with serving() as server, asking(server.url) as peer:
        await peer.send(head_of("/room", headers=EVENTS))
        await peer.read_until(b": listening\n\n")
        for number in range(100):
            await server.server.hub.publish("/room", str(number))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server.shutdown)
            stream = await peer.read_to_end()
        assert parsed(stream) == [str(number) for number in range(100)]
        assert server.find("disconnected", kind="events", why="shutdown", sent=100)


async def test_a_quiet_stream_gets_a_comment_in_each_ping_interval(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    listener = MemoryListener()
    server = await nursery.start(partial(serve, listeners=[listener], ping_interval=20.0))
    stream = await listener.connect()
    await stream.send_all(head_of("/room", headers=EVENTS))
    heard = b""
    while not heard.endswith(b": listening\n\n"):
        heard += await stream.receive_some()
    for count in (1, 2, 3):
        assert await stream.receive_some() == b":\n\n"
        assert trio.current_time() == pytest.approx(20 * count)
    await server.hub.publish("/room", "hello")
    assert await stream.receive_some() == b"data: hello\n\n"
    nursery.cancel_scope.cancel()


async def test_a_stream_that_takes_nothing_after_a_comment_is_dead(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    listener = MemoryListener()
    server = await nursery.start(partial(serve, listeners=[listener], ping_interval=20.0, ping_timeout=10.0))
    stream = await listener.connect()
    await stream.send_all(head_of("/room", headers=EVENTS))
    while not (await stream.receive_some()).endswith(b": listening\n\n"):
        pass
    await server.hub.publish("/room", "never taken")
    await trio.sleep(32)
    assert server.counters.disconnected == {"dead": 1}
    nursery.cancel_scope.cancel()


async def test_what_a_listener_sends_is_ignored() -> None:
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(head_of("/room", headers=EVENTS) + head_of() + request() + bytes(100_000))
        await peer.read_until(b": listening\n\n")
        await server.server.hub.publish("/room", "still here")
        assert await peer.read_until(b"\n\n") == b"data: still here\n\n"
