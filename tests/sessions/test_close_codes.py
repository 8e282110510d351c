"""How a connection ends: the close frame of the right code gets there, and then the end of the stream."""

from __future__ import annotations

import pytest
import trio
from helpers.raw_peer import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame, joined
from helpers.server import serving, unharmed

from trioecho.settings import WhenSlow

MIB = 2**20

LIMIT = 1024

WRONG = {
    "a reserved opcode": (frame(0x3), 1002),
    "a reserved control opcode": (frame(0xB), 1002),
    "a reserved bit": (frame(TEXT | 0x40, b"x"), 1002),
    "a reserved bit in a ping": (frame(PING | 0x10), 1002),
    "a frame without a mask": (frame(TEXT, b"x", masked=False), 1002),
    "a ping without a mask": (frame(PING, masked=False), 1002),
    "a ping in fragments": (frame(PING, final=False), 1002),
    "a ping that is too long": (frame(PING, b"x" * 126), 1002),
    "a close frame that is too long": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "a continuation of nothing, not final": (frame(CONTINUATION, b"x", final=False), 1002),
    "a message inside another": (frame(TEXT, b"x", final=False) + frame(TEXT, b"y"), 1002),
    "a beginning inside another": (frame(TEXT, b"x", final=False) + frame(BINARY, b"y", final=False), 1002),
    "a length in more bytes than it takes": (b"\x81\xfe\x00\x05\x00\x00\x00\x00hello", 1002),
    "a length over 63 bits": (b"\x82\xff\xff" + bytes(7) + bytes(4), 1002),
    "a close frame of one byte": (frame(CLOSE, b"x"), 1002),
    "a close code of nobody's": (close(999), 1002),
    "a close code that must not be sent": (close(1006), 1002),
    "a close reason that is not UTF-8": (close(1000, b"\xff"), 1007),
    "text that is not UTF-8": (frame(TEXT, b"caf\xe9!"), 1007),
    "text with a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "text that ends inside a character": (frame(TEXT, "é".encode()[:1]), 1007),
    "text that is not UTF-8 across fragments": (
        frame(TEXT, "é".encode()[:1], final=False) + frame(CONTINUATION, b"x"),
        1007,
    ),
    "a message that is too large": (frame(BINARY, b"x" * (LIMIT + 1)), 1009),
    "the head of one that never comes": (frame(BINARY, b"x" * (LIMIT + 1))[:8], 1009),
    "the head of one larger than any memory": (b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4), 1009),
    "text too large in bytes, not in characters": (frame(TEXT, "€".encode() * 400), 1009),
    "fragments too large together": (
        frame(TEXT, b"x" * 600, final=False) + frame(CONTINUATION, b"x" * 600, final=False),
        1009,
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_breaks_the_protocol_is_answered_with_its_code_and_the_end(wrong: str) -> None:
    what, code = WRONG[wrong]
    async with unharmed(max_message_size=LIMIT) as server:
        async with joined(server.url) as reader, joined(server.url) as peer:
            await peer.send(frame(TEXT, b"before") + what)
            assert await peer.read_close() == code
            assert await peer.read_to_end() == b""
            assert await reader.read_frame() == (TEXT, b"before")
            address = peer.address
        await server.event("disconnected", address=address, code=code)


@pytest.mark.parametrize(
    "wrong", ["a reserved opcode", "text that is not UTF-8", "a message that is too large"]
)
async def test_the_code_gets_there_though_the_peer_sends_on(wrong: str) -> None:
    what, code = WRONG[wrong]
    async with unharmed(max_message_size=LIMIT) as server, joined(server.url) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, what + frame(BINARY, b"x" * 1000) * 8_000)
            assert await peer.read_close() == code
            assert await peer.read_to_end() == b""


async def test_nothing_after_a_mistake_is_relayed() -> None:
    async with unharmed() as server, joined(server.url) as reader, joined(server.url) as peer:
        await peer.send(frame(TEXT, b"before") + frame(0x3) + frame(TEXT, b"after"))
        assert await peer.read_close() == 1002
        async with joined(server.url) as another:
            await another.send(frame(TEXT, b"of another"))
            assert await reader.read_frame() == (TEXT, b"before")
            assert await reader.read_frame() == (TEXT, b"of another")


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 3000, 4999])
async def test_a_close_is_answered_with_its_own_code_and_the_end(code: int) -> None:
    async with unharmed() as server, joined(server.url) as peer:
        await peer.send(close(code, b"bye"))
        assert await peer.read_close() == code
        assert await peer.read_to_end() == b""
        left = await server.event("disconnected", address=peer.address)
        assert (left["why"], left["code"], left["reason"]) == ("client-closed", code, "bye")


async def test_a_close_without_a_code_is_answered() -> None:
    async with unharmed() as server, joined(server.url) as peer:
        await peer.send(frame(CLOSE))
        opcode, _ = await peer.read_frame()
        assert opcode == CLOSE
        assert await peer.read_to_end() == b""
        assert (await server.event("disconnected", address=peer.address))["why"] == "client-closed"


async def test_what_comes_after_a_close_is_ignored() -> None:
    async with unharmed() as server, joined(server.url) as reader, joined(server.url) as peer:
        await peer.send(frame(TEXT, b"last") + close() + frame(TEXT, b"after") + frame(PING) + b"\xff" * 100)
        assert await peer.read_close() == 1000
        assert await peer.read_to_end() == b""
        assert await reader.read_frame() == (TEXT, b"last")
        assert (await server.event("disconnected", address=peer.address))["received"] == 1


async def test_a_ping_is_answered_with_its_payload_also_inside_a_message() -> None:
    async with unharmed() as server, joined(server.url) as reader, joined(server.url) as peer:
        await peer.send(
            frame(TEXT, b"be", final=False) + frame(PING, b"x" * 125) + frame(CONTINUATION, b"gun")
        )
        assert await peer.read_frame() == (PONG, b"x" * 125)
        assert await reader.read_frame() == (TEXT, b"begun")


async def test_a_pong_that_nobody_asked_for_is_ignored() -> None:
    async with unharmed() as server, joined(server.url) as reader, joined(server.url) as peer:
        await peer.send(frame(PONG, b"?") + frame(TEXT, b"next"))
        assert await reader.read_frame() == (TEXT, b"next")


@pytest.mark.parametrize("when_slow", ["wait", "disconnect"])
async def test_a_client_that_was_too_slow_is_told_1008_when_it_reads_again(when_slow: WhenSlow) -> None:
    async with unharmed(
        when_slow=when_slow, max_pending_bytes=8 * MIB, stall_limit=0.2, stall_share=1
    ) as server:
        async with (
            joined(server.url) as sender,
            joined(server.url) as reader,
            joined(server.url) as slow,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(sender.send, frame(BINARY, b"x" * MIB) * 40)
            for _ in range(40):
                assert await reader.read_frame() == (BINARY, b"x" * MIB)
            assert await slow.read_close() == 1008
            await slow.send(close(1008))
            assert await slow.read_to_end() == b""
            left = await server.event("disconnected", address=slow.address)
            assert left["why"] == {"wait": "slow", "disconnect": "full"}[when_slow]
            assert left["code"] == 1008


async def test_a_shutdown_closes_with_1001_after_what_was_taken() -> None:
    async with serving() as server, joined(server.url) as reader, joined(server.url) as peer:
        await peer.send(frame(TEXT, b"last"))
        assert await reader.read_frame() == (TEXT, b"last")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.server.shutdown)
            for each in (peer, reader):
                assert await each.read_close() == 1001
                await each.send(close(1001))
                assert await each.read_to_end() == b""
        assert len(server.find("disconnected", why="shutdown", code=1001)) == 2
