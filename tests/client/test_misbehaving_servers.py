"""Servers that break the protocol: each ends the connection with its code, none in a traceback."""

from __future__ import annotations

import pytest
import trio
from helpers.other_servers import RawServer, frame, frames_sent, raw_server, shake_hands

from trioecho.client import ConnectionClosed, ConnectionLost, open_client

MISDEEDS = {
    "a reserved opcode": (b"\x83\x00", 1002),
    "reserved bits": (b"\xf1\x00", 1002),
    "a masked frame": (b"\x81\x81\x00\x00\x00\x00a", 1002),
    "a fragmented ping": (b"\x09\x00", 1002),
    "a long ping": (b"\x89\x7e\x00\xff", 1002),
    "a continuation of nothing": (frame(0, b"x"), 1002),
    "two beginnings": (frame(1, b"x", final=False) + frame(1, b"y"), 1002),
    "a close frame of one byte": (frame(8, b"x"), 1002),
    "a close code that does not exist": (frame(8, b"\x00\x01"), 1002),
    "a close reason that is not UTF-8": (frame(8, b"\x03\xe8\xff"), 1007),
    "text that is not UTF-8": (frame(1, b"\xff"), 1007),
    "a message that is too large": (frame(2, b"x" * 1025), 1009),
    "text too large in bytes, not in characters": (frame(1, "€".encode() * 400), 1009),
    "fragments that are too large together": (
        frame(1, b"x" * 600, final=False) + frame(0, b"x" * 600, final=False),
        1009,
    ),
}


@pytest.mark.parametrize("misdeed", MISDEEDS)
async def test_it_is_told_and_answered_with_the_right_code(misdeed: str) -> None:
    what, code = MISDEEDS[misdeed]

    async def misbehave(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(1, b"fine") + what + frame(1, b"not to be delivered"))
        while not server.received:
            server.received += await stream.receive_some()

    async with raw_server(misbehave) as server:
        async with open_client(server.url, max_message_size=1024) as client:
            assert await client.receive() == "fine"
            with pytest.raises(ConnectionLost) as caught:
                await client.receive()
            assert caught.value.code == code
    [(opcode, payload)] = frames_sent(server.received)
    assert opcode == 8
    assert int.from_bytes(payload[:2], "big") == code


async def test_pings_after_our_close_frame_and_frames_after_theirs_are_nothing() -> None:
    async def chatty(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        while not server.received:
            server.received += await stream.receive_some()
        await stream.send_all(frame(9, b"?") * 3 + frame(8, b"\x03\xe8") + frame(9, b"?") + b"\xff" * 100)

    async with raw_server(chatty) as server:
        async with open_client(server.url) as client:
            await client.close()
    assert client.close_code == 1000
    assert [opcode for opcode, _ in frames_sent(server.received)] == [8]


async def test_pings_without_end_whose_answers_are_not_read_hold_nothing() -> None:
    async def flood(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        for _ in range(50):
            await stream.send_all(frame(9, b"x" * 125) * 1000)
        await stream.send_all(frame(1, b"done"))
        await server.listen(stream)

    async with raw_server(flood) as server:
        async with open_client(server.url, close_timeout=0.05) as client:
            assert await client.receive() == "done"
            with pytest.raises(ConnectionLost):
                await client.close()
                await client.receive()


async def test_empty_fragments_without_end_hold_nothing() -> None:
    async def dribble(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(
            frame(1, b"", final=False) + frame(0, b"", final=False) * 100_000 + frame(0, b"end")
        )
        await server.listen(stream)

    async with raw_server(dribble) as server:
        async with open_client(server.url, close_timeout=0.05) as client:
            assert await client.receive() == "end"
            assert client._connection._connection._protocol._assembly._parts == []
            await client.close()
            with pytest.raises(ConnectionClosed):
                await client.receive()


@pytest.mark.parametrize("said", [b"", frame(1, b"x")[:-1], frame(1, b"half", final=False), b"\x81\x7f\x00"])
async def test_a_server_that_vanishes(said: bytes) -> None:
    async def vanish(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(said)

    async with raw_server(vanish) as server:
        async with open_client(server.url) as client:
            with pytest.raises(ConnectionLost, match="ended without a close frame") as caught:
                await client.receive()
            assert caught.value.code == 1006


async def test_a_server_that_resets_the_connection() -> None:
    async def reset(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.receive_some(1)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    async with raw_server(reset) as server:
        async with open_client(server.url) as client:
            await client.send("hello")
            with pytest.raises(ConnectionLost, match="lost"):
                await client.receive()


async def test_a_close_frame_without_a_code() -> None:
    async def wordless(stream: trio.SocketStream, server: RawServer) -> None:
        await shake_hands(stream)
        await stream.send_all(frame(8))
        await server.listen(stream)

    async with raw_server(wordless) as server:
        async with open_client(server.url) as client:
            with pytest.raises(ConnectionClosed, match="no reason given") as caught:
                await client.receive()
            assert caught.value.code == 1005
    assert frames_sent(server.received) == [(8, b"")]
