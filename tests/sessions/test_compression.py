"""Compression between a server and real clients: what is agreed on, what goes over the wire, how it ends."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Mapping

import aiohttp
import pytest
import trio
from helpers.http_client import fetch
from helpers.json_messages import messages
from helpers.raw_peer import BINARY, CLOSE, TEXT, Peer, connected, frame, request
from helpers.server import serving
from websockets.sync.client import connect

from trioecho import OptionError, Settings
from trioecho.protocol.deflate import TAIL
from trioecho.sessions.compressing import Compressing

RSV1 = 0x40
OFFER = {b"Sec-WebSocket-Extensions": b"permessage-deflate; client_max_window_bits"}
AGREED = b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"


def deflated(payload: bytes, level: int = 6) -> bytes:
    """A message as a client compresses it that forgets each."""
    using = zlib.compressobj(level, wbits=-15)
    return (using.compress(payload) + using.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


async def answer_to(peer: Peer, room: bytes = b"/", headers: Mapping[bytes, bytes] = OFFER) -> bytes:
    """Shake hands and return the head of the answer."""
    await peer.send(request(room, headers=headers))
    return await peer.read_until(b"\r\n\r\n")


async def read_message(peer: Peer, inflater: zlib._Decompress) -> tuple[bytes, bool]:
    """Return the next message, and whether it came compressed."""
    first, length = await peer.read(2)
    if length > 125:
        length = int.from_bytes(await peer.read(2 if length == 126 else 8), "big")
    payload = await peer.read(length)
    return (inflater.decompress(payload + TAIL), True) if first & RSV1 else (payload, False)


async def test_who_offers_it_gets_a_room_compressed_with_a_memory_and_who_does_not_gets_it_plain() -> None:
    sent = [text.encode() for text in messages("telemetry", 480, 20)]
    async with serving() as server, connected(server.url) as able, connected(server.url) as plain:
        assert AGREED in await answer_to(able)
        assert b"Extensions" not in await answer_to(plain, headers={})
        inflater = zlib.decompressobj(-15)
        async with connected(server.url) as sender:
            await answer_to(sender)
            for message in sent:
                await sender.send(frame(TEXT | RSV1, deflated(message)))
                assert await read_message(able, inflater) == (message, True)
                assert await plain.read_frame() == (TEXT, message)
        assert (
            server.server.counters.compression_bytes_out < 0.4 * server.server.counters.compression_bytes_in
        )
    assert server.server.counters.inflated_bytes == sum(map(len, sent))


@pytest.mark.parametrize(
    ("options", "room"),
    [({"compress": False}, b"/news"), ({"no_compress_room": ("/private/*",)}, b"/private/news")],
)
async def test_it_can_be_turned_off_for_all_rooms_or_for_some(
    options: Mapping[str, object], room: bytes
) -> None:
    async with serving(**options) as server, connected(server.url) as peer:  # type: ignore[arg-type]
        assert b"Extensions" not in await answer_to(peer, room)
        await peer.send(frame(TEXT | RSV1, deflated(b"hello")))
        opcode, payload = await peer.read_frame()
        assert opcode == CLOSE and payload[:2] == (1002).to_bytes(2, "big")


async def test_who_cannot_share_may_compress_and_is_sent_nothing_compressed() -> None:
    alone = {b"Sec-WebSocket-Extensions": b"permessage-deflate; server_no_context_takeover"}
    async with serving(to="everyone") as server, connected(server.url) as peer:
        assert b"server_no_context_takeover\r\n" in await answer_to(peer, headers=alone)
        await peer.send(frame(BINARY | RSV1, deflated(500 * b"x")))
        assert await peer.read_frame() == (BINARY, 500 * b"x")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frame(TEXT | RSV1, b"\xff\xff"), 1002, id="no deflate"),
        pytest.param(frame(TEXT | RSV1, deflated(1000 * b"abc")[:-5]), 1002, id="cut off"),
        pytest.param(frame(TEXT | RSV1, deflated(b"\xff\xff")), 1007, id="not UTF-8"),
        pytest.param(
            frame(TEXT | RSV1, deflated(b"\xff\xff"), final=False) + frame(0), 1007, id="in fragments"
        ),
        pytest.param(frame(0x9 | RSV1, b""), 1002, id="a compressed ping"),
        pytest.param(frame(TEXT, final=False) + frame(0 | RSV1, b""), 1002, id="a compressed fragment"),
        pytest.param(frame(BINARY | RSV1, deflated(4 * 2**20 * b"\0")), 1009, id="a bomb"),
        pytest.param(frame(BINARY | 0x20, b""), 1002, id="another bit"),
    ],
)
async def test_what_is_wrong_with_it_has_its_close_code(sent: bytes, code: int) -> None:
    async with serving() as server, connected(server.url) as peer:
        await answer_to(peer)
        await peer.send(sent)
        opcode, payload = await peer.read_frame()
        assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)


async def test_a_rooms_stats_say_what_it_compressed_and_for_whom() -> None:
    sent = [text.encode() for text in messages("chat", 500, 5)]
    async with serving() as server, connected(server.url) as able, connected(server.url) as plain:
        await answer_to(able)
        await answer_to(plain, headers={})
        for message in sent:
            await plain.send(frame(TEXT, message))
        inflater = zlib.decompressobj(-15)
        for message in sent:
            assert await read_message(able, inflater) == (message, True)
        async with connected(server.url) as late:
            await answer_to(late)
            stats = (await fetch(server.url, headers={"Accept": "application/json"})).value["compression"]
        assert (stats["in_step"], stats["out_of_step"], stats["unable"]) == (1, 1, 1)
        assert stats["contexts_begun"] == 1 and stats["messages_out_of_step"] == 0
        assert stats["messages_unable"] == 0  # the sender gets none of its own
        assert stats["bytes_before"] == sum(4 + len(message) for message in sent) > stats["bytes_after"] > 0
        await able.send(frame(TEXT, b"ping"))
        assert await plain.read_frame() == (TEXT, b"ping")
        assert server.server.counters.messages_unable == 1


@pytest.mark.parametrize("size", [1, 63, 64, 1000, 70_000, 300_000])
async def test_the_websockets_library_and_the_server_understand_each_other(size: int) -> None:
    """It compresses what it sends, and keeps one inflater for all that it gets."""
    source = random.Random(size)
    sent = ["".join(source.choices("abcdefgh ", k=size)) for _ in range(5)]

    def talk(url: str) -> list[str | bytes]:
        with connect(url) as listener, connect(url) as speaker:
            assert [each.name for each in listener.protocol.extensions] == ["permessage-deflate"]
            received = []
            for text in sent:
                speaker.send(text)
                received.append(listener.recv(timeout=20))
            return received

    async with serving() as server:
        assert await trio.to_thread.run_sync(talk, server.url) == sent


def talk_with_aiohttp(url: str, sent: list[str]) -> list[str]:
    """Send with compression and listen with it; it offers a window of 15 bits, and asks for the same."""

    async def talk() -> list[str]:
        async with aiohttp.ClientSession() as session:
            listener = await session.ws_connect(url, compress=15)
            speaker = await session.ws_connect(url, compress=15)
            assert listener.compress == speaker.compress == 15
            for text in sent:
                await speaker.send_str(text)
            received = [await listener.receive_str(timeout=20) for _ in sent]
            await listener.close()
            await speaker.close()
            return received

    return asyncio.run(talk())


async def test_aiohttp_and_the_server_understand_each_other() -> None:
    sent = [*messages("telemetry", 480, 30), "short", 70_000 * "long "]
    async with serving() as server:
        assert await trio.to_thread.run_sync(talk_with_aiohttp, server.url, sent) == sent
        assert server.server.counters.compression_bytes_out > 0


async def bytes_of_a_plain_listener(*, compress: bool, others: bool) -> bytes:
    """All that a client is sent that offers nothing, but for the time in the head."""
    sent = [text.encode() for text in messages("chat", 300, 40)]
    async with serving(compress=compress) as server, connected(server.url) as plain:
        head = await answer_to(plain, headers={})
        async with connected(server.url) as able, connected(server.url) as sender:
            await answer_to(able, headers=OFFER if others else {})
            await answer_to(sender, headers={})
            for message in sent:
                await sender.send(frame(TEXT, message))
            size = sum(4 + len(message) for message in sent)
            return head + await plain.read(size)


async def test_who_offers_nothing_gets_the_same_bytes_whatever_others_do() -> None:
    found = [
        await bytes_of_a_plain_listener(compress=compress, others=others)
        for compress, others in [(False, False), (True, False), (True, True)]
    ]
    assert b"Extensions" not in found[0]
    assert found[0] == found[1] == found[2]


def test_a_pattern_of_no_room_is_an_option_error() -> None:
    with pytest.raises(OptionError, match="no_compress_room must begin with a slash"):
        Compressing(Settings(no_compress_room=("private",)))
