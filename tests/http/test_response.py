"""A response is checked where it is made, and a handler that makes none is answered with 500, loudly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from helpers.http_client import asking, fetch
from helpers.raw_peer import TEXT, joined
from helpers.server import serving, unharmed

from trioecho import Request, Response

Handler = Callable[[Request], Awaitable[Any]]


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (lambda: Response(299), "status must be a registered final one"),
        (lambda: Response(100), "status must be"),
        (lambda: Response("200"), "status must be"),  # type: ignore[arg-type]
        (lambda: Response(200, "text"), "body must be bytes, not str"),  # type: ignore[arg-type]
        (lambda: Response(204, b"x"), "has no body"),
        (lambda: Response(200, content_type="a\r\nb"), "content_type must be printable ASCII"),
        (lambda: Response(200, headers=(("X", "a\nb"),)), "the header X must be printable ASCII"),
        (lambda: Response(200, headers=(("X", " a"),)), "the header X must be printable ASCII"),
        (lambda: Response(200, headers=(("X", "é"),)), "the header X must be printable ASCII"),
        (lambda: Response(200, headers=(("X", 1),)), "the header X must be a str, not int"),  # type: ignore[arg-type]
        (lambda: Response(200, headers=(("X:", "a"),)), "not the name of a header"),
        (lambda: Response(200, headers=(("", "a"),)), "not the name of a header"),
        (lambda: Response(200, headers={"X": "a"}), "headers must be pairs"),  # type: ignore[arg-type]
        (lambda: Response(200, headers=(("Content-Length", "1"),)), "adds the header Content-Length"),
        (lambda: Response(200, headers=(("connection", "close"),)), "adds the header connection"),
    ],
)
def test_a_response_that_could_not_be_sent_cannot_be_made(made: Callable[[], Response], problem: str) -> None:
    with pytest.raises((ValueError, TypeError), match=problem):
        made()


def test_the_error_about_a_response_is_short() -> None:
    with pytest.raises(ValueError) as caught:
        Response(200, headers=(("X", "\n" * 10_000),))
    assert len(str(caught.value)) < 250


async def none(request: Request) -> Any:
    return None


async def text(request: Request) -> Any:
    return "hello"


async def broken(request: Request) -> Any:
    raise trio.BrokenResourceError("the database is gone")


async def odd_status(request: Request) -> Any:
    return Response(299)


async def odd_header(request: Request) -> Any:
    return Response(200, headers=(("X", "one\r\nSet-Cookie: two"),))


def no_coroutine(request: Request) -> Any:
    return Response(200)


MISTAKES: dict[str, tuple[Handler, str]] = {
    "it returns None": (none, "must return a Response, not NoneType"),
    "it returns a str": (text, "must return a Response, not str"),
    "its own backend is broken": (broken, "the database is gone"),
    "its status is unknown": (odd_status, "in odd_status"),
    "its header is two": (odd_header, "in odd_header"),
    "it is not async": (no_coroutine, "TypeError"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_handlers_mistake_is_answered_with_500_and_its_traceback_logged(mistake: str) -> None:
    handler, trace = MISTAKES[mistake]
    async with serving(http_handlers={"/app": handler}) as server, joined(server.url, b"/room") as other:
        async with asking(server.url) as peer:
            answer = await peer.ask("/app")
            assert (answer.status, answer.text) == (500, "The server failed.\n")
            assert await peer.is_ended()
        (logged,) = server.tracebacks
        assert trace in logged["traceback"]
        await server.server.hub.publish("/room", "still there")
        assert await other.read_frame() == (TEXT, b"still there")


async def test_a_handler_that_gives_up_on_a_body_can_ask_for_it_again() -> None:
    async def patient(request: Request) -> Response:
        with trio.move_on_after(0):
            await request.read()
        body = await request.read()
        assert await request.read() == body
        return Response(200, body)

    async with serving(http_handlers={"/app": patient}) as server, asking(server.url) as peer:
        await peer.send(b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        await peer.send(b"def")
        assert (await peer.read_answer()).body == b"abcdef"


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_not_the_handlers_failure() -> None:
    async def reads(request: Request) -> Response:
        return Response(200, await request.read())

    async with serving(http_handlers={"/app": reads}) as server:
        async with asking(server.url) as peer:
            await peer.send(b"POST /app HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
            peer.vanish(reset=True)
        await server.event("refused", status=400)
        assert not server.tracebacks


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "DELETE", "BREW"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_is_for_monitoring_takes_get_and_head_only(method: str, path: str) -> None:
    async with unharmed() as server, asking(server.url) as peer:
        answer = await peer.ask(path, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert (await peer.ask(path)).status == 200


async def test_no_tunnel_is_opened_to_an_applications_address() -> None:
    async def hello(request: Request) -> Response:
        return Response(200, request.method.encode())

    async with serving(http_handlers={"/app": hello}) as server, asking(server.url) as peer:
        assert (await peer.ask("/app", method="CONNECT")).status == 405
        assert (await peer.ask("/app", method="BREW")).body == b"BREW"


async def test_monitoring_is_never_answered_from_a_cache() -> None:
    async with serving() as server:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await fetch(server.url, path)).headers["cache-control"] == "no-store"
