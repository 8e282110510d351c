"""What one address may do: connections, new ones, and new rooms; and what it is told beyond."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme
from helpers.http_client import asking, fetch
from helpers.raw_peer import Peer, connected, joined, request
from helpers.server import serving

from trioecho import Conversation, Options, open_client
from trioecho.line_limiter import LINES_PER_SECOND
from trioecho.transport.unix_listener import open_unix_listener


async def refusal(url: str) -> tuple[int, bytes, bytes]:
    """Connect, say nothing, and return the answer: it comes before anything is read."""
    async with connected(url) as peer:
        return await peer.read_response()


async def test_one_connection_too_many_of_an_address_is_answered_429_until_another_ends() -> None:
    async with serving(max_connections_per_address=2) as server:
        async with joined(server.url) as one, joined(server.url):
            status, head, body = await refusal(server.url)
            assert (status, body) == (429, b"There are too many connections from your address.\n")
            assert b"\r\nRetry-After: 1\r\n" in head + b"\r\n"
            assert server.server.counters.refused == {"address-connections": 1}
            await server.event("refused", status=429, why="There are too many connections from your address.")
            address = one.address
            one.vanish(reset=True)
            await server.event("disconnected", address=address)
            await trio.testing.wait_all_tasks_blocked(0.01)
            async with joined(server.url):
                assert server.server.hub.rooms == {"/": 2}


async def test_new_connections_of_an_address_beyond_its_rate_are_answered_429() -> None:
    async with serving(connection_rate_per_address="1/h:3") as server:
        for _ in range(3):
            assert (await fetch(server.url)).status == 200
        status, head, _ = await refusal(server.url)
        assert status == 429
        (wait,) = [line for line in head.split(b"\r\n") if line.startswith(b"Retry-After: ")]
        assert 3500 < int(wait.partition(b": ")[2]) <= 3600
        assert server.server.counters.refused == {"address-rate": 1}


async def test_a_flood_of_refused_connections_leaves_nothing_behind_and_few_lines() -> None:
    async with serving(connection_rate_per_address="1/h:1") as server:
        async with joined(server.url):
            began = trio.current_time()
            for _ in range(300):
                async with connected(server.url):
                    pass
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert server.server.counters.refused["address-rate"] == 300
            seconds = int(trio.current_time() - began) + 1
        await server.server.shutdown()
        lines = len(server.find("refused"))
        left_out = sum([line["count"] for line in server.find("log-lines-left-out", kind="refused")])
        assert lines <= LINES_PER_SECOND * seconds and lines + left_out == 300


async def test_the_monitoring_address_is_not_limited() -> None:
    async with serving(max_connections_per_address=1, metrics_address="127.0.0.1:0") as server:
        url = server.server.metrics_urls[0].replace("http", "ws", 1)
        async with joined(server.url), asking(url) as one, asking(url) as other:
            assert (await one.ask("/readyz")).status == (await other.ask("/readyz")).status == 200


async def test_new_rooms_of_an_address_beyond_its_rate_are_answered_429_and_old_ones_are_open() -> None:
    async with serving(room_rate_per_address="1/h:2") as server:
        async with joined(server.url, b"/stays"):
            async with joined(server.url, b"/goes"):
                pass
            await server.event("disconnected", room="/goes")
            async with connected(server.url) as peer:
                await peer.send(request(b"/third"))
                status, head, body = await peer.read_response()
            assert status == 429 and b"Retry-After: " in head and b"too many rooms" in body
            async with asking(server.url) as listener:
                answer = await listener.ask("/fourth", headers={"Accept": "text/event-stream"})
                assert answer.status == 429
            async with joined(server.url, b"/stays"):
                assert server.server.hub.rooms == {"/stays": 2}


async def test_new_rooms_of_a_name_beyond_its_rate_are_answered_429_wherever_they_come_from() -> None:
    tokens = {"ada": "9f3c2a7e51d04b68a1c5", "bo": "8c1d0be2f7a94e35b6d2"}
    options: Options = {"token": tokens, "trusted_proxy": ("127.0.0.1",), "room_rate_per_name": "1/h:2"}
    async with serving(**options) as server, AsyncExitStack() as there:

        async def ask(name: str, room: bytes, address: str) -> bytes:
            peer = await there.enter_async_context(connected(server.url))
            bearer = f"Bearer {tokens[name]}".encode()
            await peer.send(
                request(room, headers={b"X-Forwarded-For": address.encode(), b"Authorization": bearer})
            )
            return (await peer.read_until(b"\r\n")).split()[1]

        for number in (1, 2):
            assert await ask("ada", b"/%d" % number, f"198.51.100.{number}") == b"101"
        assert await ask("ada", b"/3", "198.51.100.3") == b"429"
        assert server.server.counters.refused == {"name-rooms": 1}
        # A room that is there is not opened, and another name has rooms of its own.
        assert await ask("ada", b"/1", "198.51.100.3") == b"101"
        assert await ask("bo", b"/3", "198.51.100.3") == b"101"
        assert await ask("ada", b"/3", "198.51.100.3") == b"101"


async def test_what_one_limit_on_rooms_refuses_uses_up_no_other() -> None:
    tokens = {"ada": "9f3c2a7e51d04b68a1c5", "bo": "8c1d0be2f7a94e35b6d2"}
    options: Options = {"token": tokens, "room_rate_per_address": "1/h:2", "room_rate_per_name": "1/h:1"}
    async with serving(**options) as server, AsyncExitStack() as there:

        async def ask(name: str, room: bytes) -> bytes:
            peer = await there.enter_async_context(connected(server.url))
            await peer.send(request(room, headers={b"Authorization": f"Bearer {tokens[name]}".encode()}))
            return (await peer.read_until(b"\r\n")).split()[1]

        assert await ask("ada", b"/1") == b"101"
        for _ in range(3):
            assert await ask("ada", b"/2") == b"429"
        assert await ask("bo", b"/2") == b"101"
        assert server.server.counters.refused == {"name-rooms": 3}


async def test_a_name_keeps_the_room_that_its_address_was_refused() -> None:
    token = "9f3c2a7e51d04b68a1c5"
    options: Options = {
        "token": {"ada": token},
        "trusted_proxy": ("127.0.0.1",),
        "room_rate_per_address": "1/h:1",
        "room_rate_per_name": "1/h:2",
    }
    async with serving(**options) as server, AsyncExitStack() as there:

        async def ask(room: bytes, address: bytes) -> bytes:
            peer = await there.enter_async_context(connected(server.url))
            headers = {b"X-Forwarded-For": address, b"Authorization": f"Bearer {token}".encode()}
            await peer.send(request(room, headers=headers))
            return (await peer.read_until(b"\r\n")).split()[1]

        assert await ask(b"/1", b"198.51.100.1") == b"101"
        for _ in range(3):
            assert await ask(b"/2", b"198.51.100.1") == b"429"
        assert await ask(b"/2", b"198.51.100.2") == b"101"
        assert server.server.counters.refused == {"address-rooms": 3}


async def test_a_route_is_no_room_and_is_not_counted_as_one() -> None:
    async def echo(member: Conversation) -> None:
        async for message in member:
            await member.send(message)

    async with serving(
        hooks={"routes": {"/echo": echo}}, room_rate_per_address="1/h:1", max_rooms=1
    ) as server:
        async with joined(server.url, b"/room"):
            for _ in range(3):
                async with open_client(f"{server.url}echo") as client:
                    await client.send("hello")
                    assert await client.receive() == "hello"


async def test_asking_how_events_begin_opens_no_room() -> None:
    async with serving(room_rate_per_address="1/h:1") as server:
        for _ in range(3):
            async with asking(server.url) as peer:
                answer = await peer.ask("/new", method="HEAD", headers={"Accept": "text/event-stream"})
                assert answer.status == 200
        async with joined(server.url, b"/new"):
            assert server.server.hub.rooms == {"/new": 1}


def forwarded(address: str, room: bytes = b"/") -> bytes:
    """The handshake that a proxy passes on for a client of this address."""
    return request(room, headers={b"X-Forwarded-For": address.encode()})


def proxied(address: str) -> bytes:
    """A PROXY header for a client of this address."""
    family, to = (b"TCP6", b"::1") if ":" in address else (b"TCP4", b"127.0.0.1")
    return b"PROXY %s %s %s 5555 80\r\n" % (family, address.encode(), to)


async def test_behind_a_proxy_it_is_the_clients_that_are_counted() -> None:
    options = {"trusted_proxy": ("127.0.0.1",), "max_connections_per_address": 1}
    async with serving(**options) as server, AsyncExitStack() as there:  # type: ignore[arg-type]

        async def ask(address: str) -> tuple[Peer, bytes]:
            peer = await there.enter_async_context(connected(server.url))
            await peer.send(forwarded(address))
            return peer, await peer.read_until(b"\r\n")

        first, answer = await ask("198.51.100.7")
        assert answer.startswith(b"HTTP/1.1 101 ")
        for address in ("198.51.100.8", "2001:db8:0:1::1", "2001:db8:0:2::1"):
            assert (await ask(address))[1].startswith(b"HTTP/1.1 101 ")
        # The first 64 bits are one address.
        for address in ("198.51.100.7", "2001:db8:0:1::2"):
            assert (await ask(address))[1].startswith(b"HTTP/1.1 429 ")
        assert server.server.counters.refused == {"address-connections": 2}
        first.vanish(reset=True)
        await server.event("disconnected", address="198.51.100.7")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (await ask("198.51.100.7"))[1].startswith(b"HTTP/1.1 101 ")


async def test_the_requests_of_several_clients_over_one_connection_count_for_each() -> None:
    options = {"trusted_proxy": ("127.0.0.1",), "max_connections_per_address": 1}
    async with serving(**options) as server, asking(server.url) as proxy, asking(server.url) as other:  # type: ignore[arg-type]
        for address in ("198.51.100.7", "198.51.100.8", "198.51.100.8", "198.51.100.7", "198.51.100.8"):
            assert (await proxy.ask(headers={"X-Forwarded-For": address})).status == 200
        # The connection is the last one's now, and no longer that of the one before.
        assert (await other.ask(headers={"X-Forwarded-For": "198.51.100.7"})).status == 200
        assert (await other.ask(headers={"X-Forwarded-For": "198.51.100.8"})).status == 429


async def test_what_a_proxy_asks_for_itself_is_not_limited() -> None:
    options = {"trusted_proxy": ("127.0.0.1",), "connection_rate_per_address": "1/h:1"}
    async with serving(**options) as server:  # type: ignore[arg-type]
        for _ in range(3):
            assert (await fetch(server.url, "/healthz")).status == 200


async def test_after_a_proxy_header_its_client_is_answered_before_it_asks() -> None:
    options = {"trusted_proxy": ("127.0.0.1",), "proxy_protocol": True, "max_connections_per_address": 1}
    async with serving(**options) as server, AsyncExitStack() as there:  # type: ignore[arg-type]

        async def come(address: str) -> Peer:
            peer = await there.enter_async_context(connected(server.url))
            await peer.send(proxied(address))
            return peer

        first = await come("198.51.100.7")
        await first.shake_hands(request())
        await (await come("198.51.100.8")).shake_hands(request())
        status, head, _ = await (await come("198.51.100.7")).read_response()
        assert status == 429 and b"Retry-After: 1" in head
        assert (await server.event("refused", status=429))["address"] == "198.51.100.7:5555"
        first.vanish(reset=True)
        await server.event("disconnected", address="198.51.100.7:5555")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await (await come("198.51.100.7")).shake_hands(request())


@pytest.mark.parametrize("behind_a_proxy", [False, True])
async def test_over_tls_one_too_many_is_closed_before_the_handshake(
    behind_a_proxy: bool, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "c.pem")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    options = {"trusted_proxy": ("127.0.0.1",), "proxy_protocol": True} if behind_a_proxy else {}
    header = proxied("198.51.100.7") if behind_a_proxy else b""
    limit = {"max_connections_per_address": 1}
    async with serving(tls_cert=str(tmp_path / "c.pem"), **limit, **options) as server:  # type: ignore[arg-type]
        url = server.url.replace("wss", "ws")
        async with connected(url) as one, connected(url) as other:
            await one.send(header)
            stream = trio.SSLStream(one.stream, context, server_hostname="127.0.0.1")
            await stream.send_all(request())
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 101")
            await other.send(header)
            await other.wait_gone()
        await server.event("refused", status=429)
        assert server.server.counters.refused["address-connections"] == 1


async def test_a_unix_socket_has_no_address_to_limit(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    listener = open_unix_listener(path, mode=0o666)
    async with serving(listeners=[listener], max_connections_per_address=1), AsyncExitStack() as there:
        for _ in range(3):
            peer = await there.enter_async_context(await trio.open_unix_socket(path))
            await Peer(peer).shake_hands(request())


@pytest.mark.parametrize("rates", [{"rate": "1/h:3"}, {"rate_bytes": "1/h:15"}])
async def test_an_address_posts_no_more_than_one_client_may_send(rates: dict[str, str]) -> None:
    async with serving(**rates) as server:  # type: ignore[arg-type]
        for _ in range(3):
            assert (await fetch(server.url, method="POST", body=b"fives")).status == 202
        refused = await fetch(server.url, method="POST", body=b"fives")
        assert refused.status == 429 and int(refused.headers["retry-after"]) > 1000
        assert server.server.counters.refused == {"over-rate": 1}
        assert (await fetch(server.url)).status == 200
