"""Who may come in, asked of a running server by every way in, with real bytes."""

from __future__ import annotations

import time

import pytest
import trio
from helpers.http_client import fetch
from helpers.log import LogBook
from helpers.raw_peer import TEXT, connected, frame, joined, request
from helpers.server import kept_log, serving

import trioecho
from trioecho import Identity, Refusal, Request, serve

ADA = "b68a1c59f3c2a7e51d04"
BEARER = {"Authorization": f"Bearer {ADA}"}
WAYS = {
    "stats": ("GET", {"Accept": "application/json"}, None),
    "events": ("GET", {"Accept": "text/event-stream"}, None),
    "POST": ("POST", {"Content-Type": "text/plain"}, b"hello"),
}


async def shake(url: str, room: bytes = b"/", **headers: bytes) -> tuple[int, bytes]:
    """Ask for a WebSocket; return the status and the head of the answer."""
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    async with connected(url) as peer:
        await peer.send(request(room, headers=named))
        head = await peer.read_until(b"\r\n\r\n")
        return int(head.split()[1]), head


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_in_needs_the_token(way: str) -> None:
    method, headers, body = WAYS[way]
    async with serving(token={"ada": ADA}) as server:
        for more in ({}, {"Authorization": "Bearer wrong-but-long-enough"}):
            refused = await fetch(server.url, "/", method=method, headers={**headers, **more}, body=body)
            assert refused.status == 401 and refused.headers["www-authenticate"].startswith("Bearer")
            assert refused.headers["connection"] == "close"
        if way != "events":
            answer = await fetch(server.url, "/", method=method, headers={**headers, **BEARER}, body=body)
            assert answer.status in (200, 202)
        assert (await shake(server.url))[0] == 401
        assert (await server.event("refused", status=401))["why"].startswith("A token is needed")


async def test_a_token_as_subprotocol_is_never_echoed_and_the_pages_own_is_chosen() -> None:
    async with serving(token={"ada": ADA}) as server:
        offered = f"bearer.{ADA}, trioecho".encode()
        status, head = await shake(server.url, Sec_WebSocket_Protocol=offered)
        assert status == 101 and b"Sec-WebSocket-Protocol: trioecho\r\n" in head
        assert ADA.encode() not in head
        assert (await server.event("connected"))["name"] == "ada"
        assert (await server.event("disconnected"))["name"] == "ada"


async def test_a_strange_origin_and_a_strange_host_are_refused_with_the_options_name() -> None:
    async with serving() as server:
        assert (await shake(server.url, Origin=b"http://evil.example"))[0] == 403
        assert "--origin" in (await server.event("refused"))["why"]
        assert (await shake(server.url, Host=b"evil.example"))[0] == 403
        assert "--allowed-host" in (await server.event("refused", count=2))["why"]
        posted = await fetch(server.url, "/", method="POST", headers={"Origin": "http://a.example"}, body=b"")
        assert posted.status == 403
    async with serving(origin=("http://a.example",), allowed_host=("b.example",)) as server:
        assert (await shake(server.url, Host=b"b.example", Origin=b"http://a.example"))[0] == 101


async def test_only_the_rooms_that_are_named_exist() -> None:
    async with serving(room=("/news/*",)) as server:
        assert (await shake(server.url, b"/news/today"))[0] == 101
        assert (await shake(server.url, b"/other"))[0] == 404
        assert "--room" in (await server.event("refused"))["why"]
        assert (await fetch(server.url, "/healthz")).status == 200


async def test_a_query_token_and_a_cookie_are_taken_only_where_an_option_says_so() -> None:
    for options, given in (
        ({"allow_query_token": True}, (f"/?token={ADA}".encode(), {})),
        ({"token_cookie": "session"}, (b"/", {"Cookie": f"session={ADA}".encode()})),
    ):
        room, headers = given
        async with serving(token={"ada": ADA}) as server:
            assert (await shake(server.url, room, **headers))[0] == 401
        async with serving(token={"ada": ADA}, **options) as server:
            assert (await shake(server.url, room, **headers))[0] == 101


async def served(nursery: trio.Nursery, authorize: object, **options: object) -> trioecho.Server:
    from functools import partial

    run = partial(serve, port=0, authorize=authorize, **options)  # type: ignore[arg-type]
    server: trioecho.Server = await nursery.start(run)
    return server


async def test_who_may_only_listen_is_closed_with_1008_when_it_publishes() -> None:
    async def authorize(request: Request) -> Identity:
        return Identity("reader", publish=False)

    with trio.fail_after(20), kept_log(book := LogBook()):
        async with trio.open_nursery() as nursery:
            server = await served(nursery, authorize)
            assert (await fetch(server.url, "/", method="POST", body=b"hi")).status == 403
            async with joined(server.url) as peer, joined(server.url) as other:
                await peer.send(frame(TEXT, b"hi"))
                assert await peer.read_close() == 1008
                assert (await book.event("disconnected"))["why"] == "not-allowed"
                del other
            nursery.cancel_scope.cancel()


async def test_a_client_whose_rights_end_is_closed_with_4401() -> None:
    async def authorize(request: Request) -> Identity:
        return Identity("short", expires_at=time.time() + 0.3)

    with trio.fail_after(20), kept_log(book := LogBook()):
        async with trio.open_nursery() as nursery:
            server = await served(nursery, authorize)
            async with joined(server.url) as peer:
                assert await peer.read_close() == 4401
            assert (await book.event("disconnected"))["why"] == "expired"
            async with connected(server.url) as peer:
                await peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
                assert (await peer.read_to_end()).startswith(b"HTTP/1.1 200 ")
            await book.event("disconnected", why="expired", count=2)
            nursery.cancel_scope.cancel()


async def test_an_authorize_that_fails_or_is_late_harms_its_own_request_alone() -> None:
    async def authorize(request: Request) -> Identity | Refusal:
        if request.path == "/fails":
            raise RuntimeError("a bug")
        if request.path == "/late":
            await trio.sleep_forever()
        return Refusal(403, "Not you.") if request.path == "/no" else Identity()

    with trio.fail_after(20), kept_log(book := LogBook()):
        async with trio.open_nursery() as nursery:
            server = await served(nursery, authorize, handshake_timeout=0.2)
            assert (await shake(server.url, b"/fails"))[0] == 500
            assert (await shake(server.url, b"/late"))[0] == 503
            assert (await shake(server.url, b"/no"))[0] == 403
            assert (await shake(server.url, b"/yes"))[0] == 101
            assert len(book.tracebacks) == 1
            nursery.cancel_scope.cancel()


async def test_the_secret_is_in_no_log_line_and_no_answer() -> None:
    async with serving(token={"ada": ADA}) as server:
        said = [await fetch(server.url, f"/?token={ADA}", headers={"Accept": "application/json"})]
        said.append(await fetch(server.url, "/", headers={"Accept": "application/json", **BEARER}))
        two = {**BEARER, "Accept": "application/json", "Sec-WebSocket-Protocol": "bearer.another"}
        said.append(await fetch(server.url, "/", headers=two))
        assert [answer.status for answer in said] == [401, 200, 400]
        assert ADA not in repr(said) + repr(server.entries) + repr(server.server)
        assert ADA not in repr(trioecho.Settings(token={"ada": ADA}))
