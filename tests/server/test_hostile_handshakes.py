"""Hostile handshakes: each is answered with the right status, or ends, and harms nobody else."""

from __future__ import annotations

import pytest
import trio
from helpers.memory_listener import LockstepListener
from helpers.raw_peer import TEXT, connected, frame, joined, request
from helpers.server import serving, unharmed

NOT_ASCII = b"caf\xc3\xa9 \xff"

REFUSED = {
    "a form that is posted": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b", 403),
    "a handshake in HTTP/1.0": (request(version=b"HTTP/1.0"), 400),
    "another method": (request(method=b"POST"), 400),
    "no Host": (request(headers={b"Host": None}), 400),
    "two Hosts": (request(headers={b"hOST": b"other"}), 400),
    "no key": (request(headers={b"Sec-WebSocket-Key": None}), 400),
    "a key that is too short": (request(headers={b"Sec-WebSocket-Key": b"c2hvcnQ="}), 400),
    "a key that is no base64": (request(headers={b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ!!"}), 400),
    "two keys": (request(headers={b"sEC-wEBSOCKET-kEY": b"dGhlIHNhbXBsZSBub25jZQ=="}), 400),
    "no version": (request(headers={b"Sec-WebSocket-Version": None}), 426),
    "an old version": (request(headers={b"Sec-WebSocket-Version": b"8"}), 426),
    "a body": (request(headers={b"Content-Length": b"5"}) + b"hello", 400),
    "a body in chunks": (request(headers={b"Transfer-Encoding": b"chunked"}) + b"5\r\nhello\r\n", 400),
    "a room with a name too long": (request(b"/" + b"a" * 255), 414),
    "a room with a name too long, escaped": (request(b"/" + b"%C3%A9" * 128), 414),
    "a room that is not UTF-8, escaped": (request(b"/%FF"), 400),
    "a room that is not UTF-8": (request(b"/\xff"), 400),
    "a room with a control character": (request(b"/\x07"), 400),
    "a target that is no path": (request(b"*"), 400),
    "a target with a fragment": (request(b"/a#b"), 400),
    "bytes over 0x7F in Host": (request(headers={b"Host": NOT_ASCII}), 403),
    "bytes over 0x7F in Origin": (request(headers={b"Origin": NOT_ASCII}), 403),
    "bytes over 0x7F in the subprotocols": (request(headers={b"Sec-WebSocket-Protocol": NOT_ASCII}), 400),
    "a subprotocol that is no token": (request(headers={b"Sec-WebSocket-Protocol": b"a, b c"}), 400),
    "a subprotocol twice": (request(headers={b"Sec-WebSocket-Protocol": b"a, a"}), 400),
    "no subprotocol at all": (request(headers={b"Sec-WebSocket-Protocol": b""}), 400),
    "bytes over 0x7F for the key": (request(headers={b"Sec-WebSocket-Key": NOT_ASCII}), 400),
    "bytes over 0x7F for the version": (request(headers={b"Sec-WebSocket-Version": NOT_ASCII}), 426),
    "bytes over 0x7F in a header's name": (request(headers={NOT_ASCII: b"x"}), 400),
    "a zero byte in a header": (request(headers={b"X-Other": b"a\x00b"}), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) + b"\r\n\r\n", 400),
    "garbage": (bytes(range(256)) * 4 + b"\n\n", 400),
    "headers of 16 KiB": (request(headers={b"Cookie": b"x" * 16_384}), 431),
}

ACCEPTED = {
    "bytes over 0x7F after Connection's token": request(headers={b"Connection": b"Upgrade, " + NOT_ASCII}),
    "bytes over 0x7F after Upgrade's token": request(headers={b"Upgrade": b"websocket, " + NOT_ASCII}),
    "bytes over 0x7F in the extensions": request(headers={b"Sec-WebSocket-Extensions": NOT_ASCII}),
    "bytes over 0x7F in another header": request(headers={b"X-Other": NOT_ASCII}),
    "tokens in other cases": request(
        headers={b"Connection": b"keep-alive, UPGRADE", b"Upgrade": b"WebSocket"}
    ),
    "headers of 15 KiB": request(headers={b"Cookie": b"x" * 15_360}),
    "a percent sign that escapes nothing": request(b"/100%"),
}


@pytest.mark.parametrize("misdeed", REFUSED)
async def test_a_wrong_request_is_answered_with_its_status_and_one_line(misdeed: str) -> None:
    head, expected = REFUSED[misdeed]
    async with unharmed() as server, connected(server.url) as peer:
        await peer.send(head)
        status, answer, body = await peer.read_response()
        assert status == expected
        assert body.endswith(b"\n") and body.count(b"\n") == 1 and body.isascii()
        assert f"Content-Length: {len(body)}".encode() in answer.split(b"\r\n")
        assert b"Connection: close" in answer.split(b"\r\n")
        assert await server.event("refused", address=peer.address, status=expected)


@pytest.mark.parametrize("oddity", ACCEPTED)
async def test_an_odd_but_right_request_is_accepted(oddity: str) -> None:
    async with unharmed() as server, connected(server.url) as peer:
        await peer.shake_hands(ACCEPTED[oddity])
        await server.event("connected", address=peer.address)


async def test_endless_headers_are_answered_with_431_and_the_end() -> None:
    async with unharmed() as server, connected(server.url) as peer:
        await peer.send(b"GET / HTTP/1.1\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send_until_refused, b"X-More: " + b"x" * 1000 + b"\r\n")
            answer = await peer.read_until(b"bytes.\n")
            assert answer.startswith(b"HTTP/1.1 431 ")


async def test_a_request_line_without_end_is_answered_with_414() -> None:
    async with unharmed() as server, connected(server.url) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send_until_refused, b"x" * 1000)
            answer = await peer.read_until(b".\n")
            assert answer.startswith(b"HTTP/1.1 414 ")
            nursery.cancel_scope.cancel()


async def test_a_peer_that_says_nothing_is_answered_with_408() -> None:
    async with unharmed(handshake_timeout=0.2) as server, connected(server.url) as peer:
        status, _, _ = await peer.read_response()
        assert status == 408


async def test_a_handshake_that_stalls_half_way_is_answered_with_408() -> None:
    async with unharmed(handshake_timeout=0.2) as server, connected(server.url) as peer:
        await peer.send(request()[:-2])
        status, _, _ = await peer.read_response()
        assert status == 408


async def test_a_handshake_that_dribbles_is_answered_when_its_time_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    listener = LockstepListener()
    async with serving(listeners=[listener]):
        stream = await listener.open()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def dribble() -> None:
                for byte in request(b"/" + b"a" * 200):
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.5)

            nursery.start_soon(dribble)
            answer = await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert trio.current_time() - began == pytest.approx(10.0)
            nursery.cancel_scope.cancel()


async def test_garbage_and_a_reset_end_only_that_connection() -> None:
    async with unharmed() as server, connected(server.url) as peer:
        address = peer.address
        await peer.send(bytes(range(256)) * 8)
        peer.vanish(reset=True)
        await server.event("refused", "vanished", address=address)


async def test_frames_that_come_with_the_handshake_are_relayed() -> None:
    async with unharmed() as server, joined(server.url) as reader, connected(server.url) as peer:
        await peer.send(request() + frame(TEXT, b"one") + frame(TEXT, b"two")[:3])
        assert await reader.read_frame() == (TEXT, b"one")
        await peer.send(frame(TEXT, b"two")[3:])
        assert await reader.read_frame() == (TEXT, b"two")


async def test_a_room_is_the_decoded_path_without_the_query() -> None:
    async with unharmed() as server:
        async with (
            joined(server.url, b"/caf%C3%A9?who=me") as one,
            joined(server.url, b"/caf%c3%a9") as other,
        ):
            await one.send(frame(TEXT, b"hello"))
            assert await other.read_frame() == (TEXT, b"hello")
            assert server.server.hub.rooms["/café"] == 2


async def test_a_connection_over_the_limit_is_answered_with_503() -> None:
    async with unharmed(max_connections=3) as server:  # two of them are the healthy ones
        async with joined(server.url):
            async with connected(server.url) as peer:
                status, head, _ = await peer.read_response()
                assert status == 503 and b"Retry-After: 5" in head.split(b"\r\n")
        await server.event("disconnected", room="/")
        async with joined(server.url):
            await server.event("connected", count=2, room="/")


async def test_a_room_over_the_limit_is_answered_with_503() -> None:
    async with unharmed(max_rooms=2) as server:  # one of them is the healthy ones'
        async with joined(server.url, b"/a"), joined(server.url, b"/a"):
            async with connected(server.url) as peer:
                await peer.send(request(b"/b"))
                status, head, _ = await peer.read_response()
                assert status == 503 and b"Retry-After: 5" in head.split(b"\r\n")
        await server.event("disconnected", count=2, room="/a")
        async with joined(server.url, b"/b"):
            await server.event("connected", room="/b")
