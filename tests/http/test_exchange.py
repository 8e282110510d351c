"""HTTP on the rooms' port: connections that carry many requests, and the ways to look at a room."""

from __future__ import annotations

import re
import shlex
from functools import partial
from typing import Any

import pytest
import trio
from helpers.http_client import Received, asking, curl, fetch, head_of, http_url, needs_curl
from helpers.memory_listener import LockstepListener
from helpers.raw_peer import TEXT, connected, frame, joined, request
from helpers.server import serving, unharmed

from trioecho import OptionError, Request, Response, serve
from trioecho.http.negotiation import preferred_type

TOKEN = {"Authorization": "Bearer secret"}
WANT_JSON = {"Accept": "application/json"}

HTML, EVENTS, JSON, PLAIN = "text/html", "text/event-stream", "application/json", "text/plain"
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, PLAIN),
        ("*/*", PLAIN),
        ("text/*", PLAIN),
        (CHROMIUM, HTML),
        ("text/html, */*", HTML),
        ("TEXT/HTML", HTML),
        ("text/html;q=0.1, text/plain", PLAIN),
        ("text/event-stream", EVENTS),
        ("application/json, text/plain, */*", JSON),
        ("application/json;q=0", None),
        ("text/html;q=0, */*", PLAIN),
        ("text/html;q=nonsense, application/json;q=0.2", JSON),
        ("image/avif,image/webp,*/*;q=0.8", PLAIN),
        ("image/png", None),
        ("", None),
        (";;,,q=1", None),
    ],
)
def test_who_accepts_what_gets_what(accept: str | None, expected: str | None) -> None:
    assert preferred_type(accept, [HTML, EVENTS, JSON], PLAIN) == expected


@needs_curl
async def test_every_command_line_of_the_help_works_as_it_stands() -> None:
    async with serving() as server, trio.open_nursery() as nursery:
        url = http_url(server.url) + "news%20of%20today/%3Cb%3E"
        text = await curl(url)
        assert text.startswith(
            'This is trioecho, a WebSocket broadcast server, and "/news of today/<b>" is one of'
        )
        lines = dict(re.findall(r"^  (\w+) +(.+)$", text.replace("\\\n", ""), re.MULTILINE))
        assert list(lines) == ["talk", "look", "listen", "publish", "count"]
        assert lines["talk"] == f"trioecho client {server.url}news%20of%20today/%3Cb%3E"
        assert lines["look"] == f"open {url} in a browser"

        listening = await trio.lowlevel.open_process(shlex.split(lines["listen"]), stdout=-1)
        nursery.start_soon(listening.wait)
        await server.event("connected", kind="events", room="/news of today/<b>")
        publish = lines["publish"].replace("$TOKEN", "secret")
        assert (await curl(*shlex.split(publish)[1:])).endswith('"receivers": 1}\n')
        assert listening.stdout is not None
        heard = b""
        while b"data: Hello\n\n" not in heard:
            heard += await listening.stdout.receive_some()
        assert '"events": 1' in await curl(*shlex.split(lines["count"])[1:])
        listening.terminate()


async def test_the_help_shows_only_what_is_on() -> None:
    async with serving(page=False, events=False, stats=False) as server:
        text = (await fetch(server.url)).text
        assert re.findall(r"^  (\w+)", text, re.MULTILINE) == ["talk", "publish"]


@pytest.mark.parametrize("host", ['evil";x', "two words", "<script>", "x" * 300])
async def test_the_help_does_not_repeat_a_host_that_is_none(host: str) -> None:
    async with serving() as server:
        answer = await fetch(server.url, headers={"Host": host})
        assert answer.status == 200
        assert host not in answer.text and "URL is the address that you asked for" in answer.text


async def test_one_connection_carries_many_requests_and_then_becomes_a_client() -> None:
    async with unharmed() as server, asking(server.url) as peer:
        assert (await peer.ask("/a", headers=WANT_JSON)).value["room"] == "/a"
        assert (await peer.ask("/b", method="POST", headers=TOKEN, body=b"x")).status == 202
        assert (await peer.ask("/b", method="DELETE")).status == 405
        assert (await peer.ask("/b", method="HEAD")).body == b""
        assert (await peer.ask("/b")).status == 200
        await peer.shake_hands(request(b"/b"))
        await server.event("connected", address=peer.address, room="/b")
        await server.server.hub.publish("/b", "hello")
        assert await peer.read_frame() == (TEXT, b"hello")


async def test_requests_in_one_packet_are_answered_in_their_order() -> None:
    async with unharmed() as server, asking(server.url) as peer:
        post = head_of("/2", method="POST", headers=TOKEN, body=b"xy") + b"xy"
        chunked = head_of("/3", method="POST", headers={**TOKEN, "Transfer-Encoding": "chunked"})
        await peer.send(
            head_of("/1", headers=WANT_JSON) + post + chunked + b"1\r\na\r\n0\r\n\r\n" + request(b"/4")
        )
        for room in ("/1", "/2", "/3"):
            assert (await peer.read_answer()).value["room"] == room
        assert (await peer.read_head()).status == 101
        await server.event("connected", address=peer.address, room="/4")


async def test_frames_that_come_with_the_upgrade_after_a_request_are_relayed() -> None:
    async with unharmed() as server, joined(server.url) as listener, asking(server.url) as peer:
        await peer.send(head_of() + request() + frame(TEXT, b"early"))
        assert await listener.read_frame() == (TEXT, b"early")


@pytest.mark.parametrize("headers", [{"Accept": "text/html"}, WANT_JSON, {}, {"Accept": "image/png"}])
async def test_a_head_is_answered_like_a_get_without_its_body(headers: dict[str, str]) -> None:
    async with serving() as server, asking(server.url) as peer:
        got = await peer.ask(headers=headers)
        head = await peer.ask(method="HEAD", headers=headers)
        assert head.status == got.status
        assert {**head.headers, "date": ""} == {**got.headers, "date": ""}


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Close\r\n\r\n"]
)
async def test_the_connection_ends_after_an_answer_to_who_asks_for_that(head: bytes) -> None:
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(head + head_of())
        answer = await peer.read_answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await peer.is_ended()


async def test_another_upgrade_is_declined_by_an_ordinary_answer() -> None:
    async with unharmed() as server, asking(server.url) as peer:
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": ""}
        assert (await peer.ask(headers=headers)).status == 200
        assert (await peer.ask()).status == 200


REFUSED = {
    "a room is not to be had as a picture": (head_of(headers={"Accept": "image/png"}), 406),
    "a room cannot be put": (head_of(method="PUT", body=b""), 405),
    "a tunnel": (b"CONNECT /x HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    "another method of its own": (head_of(method="BREW"), 405),
}


@pytest.mark.parametrize("misdeed", REFUSED)
async def test_who_asks_for_what_there_is_not_may_go_on(misdeed: str) -> None:
    data, status = REFUSED[misdeed]
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(data)
        answer = await peer.read_answer()
        assert answer.status == status and answer.text.count("\n") == 1
        assert status != 405 or answer.headers["allow"] == "GET, HEAD, POST"
        assert (await peer.ask()).status == 200


async def test_a_silent_connection_is_closed_after_a_while_without_a_word(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    listener = LockstepListener()
    await nursery.start(partial(serve, listeners=[listener]))
    stream = await listener.open()
    await stream.send_all(head_of(headers=WANT_JSON))
    assert b" 200 OK" in await stream.receive_some()
    began = trio.current_time()
    assert await stream.receive_some() == b""
    assert trio.current_time() - began == pytest.approx(75)
    # One that has begun to speak gets an answer, and sooner.
    stream = await listener.open()
    await stream.send_all(head_of(headers=WANT_JSON) + b"GET /")
    assert b" 200 OK" in await stream.receive_some()
    began = trio.current_time()
    assert b" 408 Request Timeout" in await stream.receive_some()
    assert trio.current_time() - began == pytest.approx(10)


async def test_the_figures_of_a_room_add_up() -> None:
    async with serving(to="everyone") as server:
        empty = await fetch(server.url, "/room", headers=WANT_JSON)
        assert empty.headers["cache-control"] == "no-store" and empty.headers["vary"] == "Accept"
        zero: dict[str, Any] = dict.fromkeys(
            [
                "subscribers",
                "websocket",
                "events",
                "application",
                "messages",
                "bytes",
                "pending_bytes",
                "dropped",
            ],
            0,
        )
        zero["members"] = {"named": 0, "unnamed": 0, "here": []}
        nothing = {"place": None, "compression": None}
        assert empty.value == {"room": "/room", "to": "everyone", "when_slow": "wait", **nothing, **zero}
        async with (
            joined(server.url, b"/room") as one,
            joined(server.url, b"/room") as other,
            asking(server.url) as events,
            server.server.hub.subscribe("/room") as subscription,
        ):
            await events.send(head_of("/room", headers={"Accept": EVENTS}))
            await events.read_until(b"listening\n\n")
            await one.send(frame(TEXT, b"hello") + frame(TEXT, b""))
            await other.read_frame()
            await anext(subscription)
            await events.read_until(b"data: \n\n")
            found = (await fetch(server.url, "/room", headers=WANT_JSON)).value
            here: dict[str, Any] = {"subscribers": 4, "websocket": 2, "events": 1, "application": 1}
            here["members"] = {"named": 0, "unnamed": 4, "here": []}
            passed = {"messages": 2, "bytes": 2 + 5 + 2}
            assert str(found.pop("place")).endswith(f"-{found['messages']}")
            assert found | {"place": None} == {**empty.value, **here, **passed}


async def test_health_and_readiness_through_a_crowd_and_a_shutdown() -> None:
    async with serving(max_connections=2, when_slow="wait", stall_limit=30.0) as server:
        async with asking(server.url) as watcher:
            assert (await watcher.ask("/healthz")).status == 200
            assert (await watcher.ask("/readyz")).status == 200
            async with joined(server.url, b"/x", stuck=True) as stuck:
                # As many as allowed are here, and yet a new connection is told.
                assert (await watcher.ask("/readyz")).status == 503
                assert (await fetch(server.url, "/readyz")).status == 503
                assert (await fetch(server.url, "/healthz")).status == 200
                crowded = await fetch(server.url, "/x")
                assert (crowded.status, crowded.headers["retry-after"]) == (503, "5")

                # The stuck one keeps the shutdown waiting, long enough to look at it.
                for _ in range(6):
                    await server.server.hub.publish("/x", bytes(2**20))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.server.shutdown)
                    await server.event("shutting-down")
                    ready = await watcher.ask("/readyz")
                    assert (ready.status, ready.text) == (503, "Not ready: the server is shutting down.\n")
                    assert (await watcher.ask("/healthz")).status == 200
                    room = await watcher.ask("/x", headers=WANT_JSON)
                    assert (room.status, room.headers["connection"]) == (503, "close")
                    stuck.vanish(reset=True)
                    nursery.cancel_scope.cancel()


async def test_the_machine_addresses_are_no_rooms() -> None:
    async with unharmed() as server:
        for path in (b"/healthz", b"/readyz", b"/metrics"):
            async with connected(server.url) as peer:
                await peer.send(request(path))
                status, _, body = await peer.read_response()
                assert (status, body) == (404, b"This address is not a room.\n")


async def test_the_machine_addresses_can_have_a_port_of_their_own() -> None:
    async with serving(metrics_address="127.0.0.1:0") as server:
        (machines,) = server.server.metrics_urls
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await fetch(machines, path)).status == 200
            assert (await fetch(server.url, path, headers=WANT_JSON)).value["room"] == path
        for head in (head_of("/"), request(b"/room"), head_of("/", method="POST", body=b"")):
            async with asking(machines) as peer:
                await peer.send(head)
                assert (await peer.read_answer()).status == 404
        async with joined(server.url, b"/metrics"):
            await server.event("connected", room="/metrics")


@pytest.mark.parametrize("address", ["", "9100", "localhost", ":9100", "host:port", "host:99999", "host:-1"])
async def test_a_wrong_metrics_address_is_refused(address: str) -> None:
    with pytest.raises(OptionError, match=r"^metrics_address must be HOST:PORT"):
        await serve(port=0, metrics_address=address)


async def test_each_part_can_be_turned_off() -> None:
    async with serving(page=False, events=False, stats=False, health=False, metrics=False) as server:
        for accept in (HTML, EVENTS, JSON):
            assert (await fetch(server.url, headers={"Accept": accept})).status == 406
            both = await fetch(server.url, headers={"Accept": f"{accept}, */*;q=0.1"})
            assert both.headers["content-type"].startswith(PLAIN)
        for path in (b"/healthz", b"/readyz", b"/metrics"):
            async with joined(server.url, path):
                await server.event("connected", room=path.decode())


async def test_an_application_answers_plain_http_for_a_path_of_its_own() -> None:
    async def hello(request: Request) -> Response:
        body = await request.read()
        said = f"{request.method} {request.path} {request.query} {request.header('x-a')} {body!r}"
        return Response(201, said.encode(), headers=(("X-B", "b"),))

    async with serving(http_handlers={"/hello": hello}) as server, asking(server.url) as peer:
        answer = await peer.ask("/hello?a=%20b", method="PUT", headers={"X-A": "a"}, body=b"body")
        assert answer == Received(201, {**answer.headers, "x-b": "b"}, b"PUT /hello a=%20b a b'body'")
        assert (await peer.ask("/other")).text.startswith("This is trioecho")
        await peer.send(request(b"/hello"))
        assert (await peer.read_answer()).status == 404


async def test_a_failure_of_an_applications_handler_ends_that_connection_only() -> None:
    async def fails(request: Request) -> Response:
        raise RuntimeError("a bug of the application")

    async with serving(http_handlers={"/": fails}) as server, joined(server.url, b"/room") as other:
        async with asking(server.url) as peer:
            answer = await peer.ask("/")
            assert (answer.status, answer.text) == (500, "The server failed.\n")
            assert await peer.is_ended()
        assert "a bug of the application" in server.tracebacks[0]["traceback"]
        await server.server.hub.publish("/room", "still there")
        assert await other.read_frame() == (TEXT, b"still there")


def wrong_response(what: str) -> object:
    """Make what is no response, in one of the ways there are."""
    match what:
        case "nothing":
            return None
        case "a broken backend":
            raise trio.BrokenResourceError("the application's own backend is gone")
        case "a status that is none":
            return Response(299, b"x")
        case "an interim status":
            return Response(100)
        case "a header that would split the response":
            return Response(200, headers=(("X-A", "a\r\nX-B: b"),))
        case "a header that frames the response":
            return Response(200, headers=(("Content-Length", "5"),))
        case "a body that is text":
            return Response(200, "text")  # type: ignore[arg-type]
    return Response(204, b"a body")


@pytest.mark.parametrize(
    "what",
    [
        "nothing",
        "a broken backend",
        "a status that is none",
        "an interim status",
        "a header that would split the response",
        "a header that frames the response",
        "a body that is text",
        "a body where none may be",
    ],
)
async def test_a_wrong_response_of_an_applications_handler_is_a_500_and_logged(what: str) -> None:
    async def answers(request: Request) -> Response:
        return wrong_response(what)  # type: ignore[return-value]

    async with serving(http_handlers={"/": answers}) as server, asking(server.url) as peer:
        answer = await peer.ask("/")
        assert (answer.status, answer.text) == (500, "The server failed.\n")
        assert len(server.tracebacks) == 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_is_true_only_now_is_not_to_be_cached(path: str) -> None:
    async with serving() as server:
        assert (await fetch(server.url, path)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/room"])
@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "DELETE", "X-OTHER"])
async def test_a_method_that_is_none_of_ours_is_a_405_that_names_ours(method: str, path: str) -> None:
    async with unharmed() as server, asking(server.url) as peer:
        answer = await peer.ask(path, method=method)
        assert answer.status == 405 and "GET" in answer.headers["allow"]


async def test_what_is_quoted_of_a_request_is_cut() -> None:
    async with unharmed() as server, asking(server.url) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: test\r\nBad Header" + b"x" * 12_000 + b": y\r\n\r\n")
        answer = await peer.read_answer()
        assert answer.status == 400 and len(answer.text) < 300
        entry = await server.event("refused", status=400)
        assert len(str(entry)) < 600


async def test_a_public_url_is_what_the_help_shows() -> None:
    async with serving(public_url="https://live.example.org/rooms") as server:
        text = (await fetch(server.url, "/news")).text
        assert "trioecho client wss://live.example.org/rooms/news\n" in text
        assert "curl -N -H 'Accept: text/event-stream' https://live.example.org/rooms/news\n" in text
        assert "127.0.0.1" not in text


async def test_behind_a_proxy_the_help_claims_no_address() -> None:
    async with serving() as server:
        text = (await fetch(server.url, "/news", headers={"X-Forwarded-For": "192.0.2.1"})).text
        assert "127.0.0.1" not in text and "URL is the address that you asked for" in text


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        (["a", "b"], (), "a"),
        (["a", "b"], ("b", "a"), "a"),
        (["a", "b"], ("b",), "b"),
        (["a"], ("b",), None),
        ([], (), None),
        (["bearer.secret", "a"], (), "a"),
        (["bearer.secret"], (), None),
        (["bearer.secret"], ("bearer.secret",), None),
    ],
)
async def test_a_subprotocol_is_agreed_on(
    offered: list[str], spoken: tuple[str, ...], chosen: str | None
) -> None:
    headers = {b"Sec-WebSocket-Protocol": ", ".join(offered).encode() if offered else None}
    async with serving(subprotocols=spoken) as server, asking(server.url) as peer:
        await peer.send(request(headers=headers))
        answer = await peer.read_head()
        assert answer.status == 101
        assert answer.headers.get("sec-websocket-protocol") == chosen


@pytest.mark.parametrize("handlers", [{"hello": len}, {"/hello": "no function"}])
async def test_a_wrong_handler_is_refused(handlers: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=r"^http_handlers must be"):
        await serve(port=0, http_handlers=handlers)  # type: ignore[arg-type]
