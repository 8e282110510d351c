"""A room as Server-Sent Events: a subscriber like any other, over plain HTTP."""

from __future__ import annotations

import base64
import re
import subprocess
import zlib
from functools import partial

import pytest
import trio
from helpers.http_client import asking, fetch, head_of, http_url, needs_curl
from helpers.json_messages import messages as json_messages
from helpers.memory_listener import LockstepListener
from helpers.passes import passes
from helpers.raw_peer import BINARY, TEXT, frame, joined, request
from helpers.server import serving, unharmed
from hypothesis import given
from hypothesis import strategies as st

import trioecho.protocol.sse
from trioecho import Member, serve
from trioecho.protocol import frames
from trioecho.protocol.sse import MESSAGE_WORK, PIECE_WORK, encode_events, event_pieces, is_cheap
from trioecho.rooms.batch import Batch, Origin, as_events

FEED = json_messages("telemetry", 400, 50)
MIB = 2**20

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
    batch.epoch, batch.offset = "k3x9f2aa", 41
    encoded = batch.encoded(as_events)
    assert parsed(encoded) == expected
    ids = re.findall(rb"^id: (.*)$", encoded, re.MULTILINE)
    assert ids == [b"k3x9f2aa-%d" % (number + 42) for number in range(len(sent))]


@given(st.lists(st.one_of(st.text(), st.text(alphabet="\r\n", min_size=100), st.binary())), st.booleans())
def test_events_are_the_same_in_pieces(sent: list[str | bytes], placed: bool) -> None:
    joined = b"".join([frames.encode(message) for message in sent])
    place = ("k3x9f2aa", 41) if placed else ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trioecho.protocol.sse, "PIECE_WORK", 100)
        patch.setattr(trioecho.protocol.sse, "MESSAGE_WORK", 30)
        pieces = [*event_pieces(joined, *place)]
    assert b"".join(pieces) == encode_events(joined, *place)


@pytest.mark.parametrize(
    ("message", "count"), [(MIB * "\n", 1), (MIB // 2 * "\r\n", 1), (bytes(MIB), 1), ("", 100_000)]
)
def test_no_piece_of_events_is_much_work(message: str | bytes, count: int) -> None:
    joined = count * frames.encode(message)
    assert not is_cheap(joined, count)
    pieces = [*event_pieces(joined, "k3x9f2aa")]
    assert max(map(len, pieces)) <= 8 * PIECE_WORK
    assert len(pieces) >= (count * MESSAGE_WORK + count * len(message)) // PIECE_WORK


async def test_events_that_are_much_work_are_made_in_turn() -> None:
    """Each pass of the scheduler makes a piece for one of those who listen."""
    count, size = 4, 500_000
    async with serving() as server, trio.open_nursery() as nursery:
        done = 0

        async def listen() -> None:
            nonlocal done
            async with asking(server.url) as peer:
                await peer.send(head_of("/", headers=EVENTS))
                await peer.read_until(b"-0\n\n")
                assert len(await peer.read_until(b"\n\n")) > 7 * size
                done += 1

        for _ in range(count):
            nursery.start_soon(listen)
        await server.event("connected", count=count)
        await server.server.hub.publish("/", size * "\n")
        grown = await passes(lambda: done == count, lambda: done)
        assert len(grown) >= count * size / PIECE_WORK


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
                    "vary": "Accept, Accept-Encoding",
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
    limits = {"max_pending_bytes": 2**20, "max_message_size": 2**20, "stall_limit": 0.3, "stall_share": 1}
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
    listener = LockstepListener()
    server = await nursery.start(partial(serve, listeners=[listener], ping_interval=20.0))
    stream = await listener.open()
    await stream.send_all(head_of("/room", headers=EVENTS))
    heard = b""
    while not heard.endswith(b"-0\n\n"):
        heard += await stream.receive_some()
    for count in (1, 2, 3):
        assert await stream.receive_some() == b":\n\n"
        assert trio.current_time() == pytest.approx(20 * count)
    await server.hub.publish("/room", "hello")
    assert (await stream.receive_some()).endswith(b"-1\ndata: hello\n\n")
    nursery.cancel_scope.cancel()


async def test_a_stream_that_takes_nothing_after_a_comment_is_dead(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    listener = LockstepListener()
    server = await nursery.start(partial(serve, listeners=[listener], ping_interval=20.0, ping_timeout=10.0))
    stream = await listener.open()
    await stream.send_all(head_of("/room", headers=EVENTS))
    while not (await stream.receive_some()).endswith(b"-0\n\n"):
        pass
    await server.hub.publish("/room", "never taken")
    await trio.sleep(32)
    assert server.counters.disconnected == {"dead": 1}
    nursery.cancel_scope.cancel()


async def test_what_a_listener_sends_is_ignored() -> None:
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(head_of("/room", headers=EVENTS) + head_of() + request() + bytes(100_000))
        await peer.read_until(b": listening\n\nid: ")
        epoch = (await peer.read_until(b"-0\n\n"))[:-4]
        await server.server.hub.publish("/room", "still here")
        assert await peer.read_until(b"\n\n") == b"id: %s-1\ndata: still here\n\n" % epoch


GZIP = {**EVENTS, "Accept-Encoding": "gzip, deflate, br"}


async def test_events_as_gzip_are_the_same_events() -> None:
    sent: list[str | bytes] = [*FEED, "two\nlines", b"binary", ""]
    async with serving() as server, asking(server.url) as plain, asking(server.url) as first:
        await plain.send(head_of("/room", headers=EVENTS))
        await plain.read_until(b": listening\n\n")
        await first.send(head_of("/room", headers=GZIP))
        head = await first.read_head()
        assert head.headers["content-encoding"] == "gzip"
        assert head.headers["vary"] == "Accept, Accept-Encoding"
        await server.event("connected", kind="events", count=2)
        async with asking(server.url) as late:
            for message in sent:
                await server.server.hub.publish("/room", message)
            await late.send(head_of("/room", headers=GZIP))
            await late.read_head()
            await server.event("connected", kind="events", count=3)
            for message in sent:
                await server.server.hub.publish("/room", message)
            await server.server.shutdown()
            streams = [await peer.read_to_end() for peer in (plain, first, late)]
    read = [zlib.decompressobj(31).decompress(stream) for stream in streams[1:]]
    assert parsed(streams[0]) == parsed(read[0]) == sent * 2
    assert parsed(read[1])[-len(sent) :] == sent
    events = [re.findall(rb"(?m)^(?:id|data|event): .*$", stream) for stream in (streams[0], *read)]
    assert events[0] == events[1] and events[0][-len(sent) :] == events[2][-len(sent) :]
    assert len(streams[1]) < len(streams[0]) / 2


async def test_a_quiet_gzip_stream_gets_an_empty_block_in_each_ping_interval(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    listener = LockstepListener()
    server = await nursery.start(partial(serve, listeners=[listener], ping_interval=20.0))
    stream = await listener.open()
    await stream.send_all(head_of("/room", headers=GZIP))
    inflater, heard = zlib.decompressobj(31), b""
    while b"\r\n\r\n" not in heard:
        heard += await stream.receive_some()
    text = inflater.decompress(heard.partition(b"\r\n\r\n")[2])
    while not text.endswith(b"-0\n\n"):
        text += inflater.decompress(await stream.receive_some())
    for count in (1, 2, 3):
        assert await stream.receive_some() == b"\0\0\0\xff\xff"
        assert trio.current_time() == pytest.approx(20 * count)
    for message in FEED[:3]:
        await server.hub.publish("/room", message)
        assert inflater.decompress(await stream.receive_some()).endswith(f"data: {message}\n\n".encode())
    await server.shutdown()


@needs_curl
async def test_curl_reads_a_gzip_stream() -> None:
    async with serving() as server:
        url = f"{http_url(server.url)}room"
        command = ["curl", "-sN", "--compressed", "-H", "Accept: text/event-stream", url]
        async with trio.open_nursery() as nursery:
            run = partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
            process = await nursery.start(run)
            await server.event("connected", kind="events")
            for text in FEED:
                await server.server.hub.publish("/room", text)
            heard = b""
            while heard.count(b"data: ") < len(FEED) or not heard.endswith(b"\n\n"):
                heard += await process.stdout.receive_some()
            assert parsed(heard) == FEED
            process.kill()


async def test_where_the_application_can_send_to_one_listener_alone_events_are_plain() -> None:
    async def on_join(member: Member) -> None:
        await member.send("only you")

    async with serving(hooks={"on_join": on_join}) as server, asking(server.url) as peer:
        await peer.send(head_of("/room", headers=GZIP))
        assert "content-encoding" not in (await peer.read_head()).headers
        await peer.read_until(b"data: only you\n\n")
