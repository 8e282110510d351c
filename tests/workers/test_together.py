"""The supervisor's small server: many who ask, and one page that fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import trio
from helpers.http_client import fetch

from trioecho.http.request import Request
from trioecho.http.response import Response, text_response
from trioecho.web.site import Handler
from trioecho.workers import together
from trioecho.workers.together import MOST_CONNECTIONS, serve_together


async def hello(request: Request) -> Response:
    return text_response(200, "hello")


@asynccontextmanager
async def serving_pages(pages: Mapping[str, Handler]) -> AsyncIterator[int]:
    """Serve pages on a free port."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_together, listeners, pages)
            yield listeners[0].socket.getsockname()[1]
            nursery.cancel_scope.cancel()


async def test_nobody_waits_for_a_place_and_those_who_have_one_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "PATIENCE", 600.0)  # nobody is to be closed for that
    async with serving_pages({"/a": hello}) as port, AsyncExitStack() as there:
        placed = [
            await there.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            for _ in range(MOST_CONNECTIONS)
        ]
        for _ in range(20):  # they are accepted in the order in which they came
            async with await trio.open_tcp_stream("127.0.0.1", port) as beyond:
                with suppress(trio.BrokenResourceError):
                    assert await beyond.receive_some() == b""
        await placed[-1].send_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await placed[-1].receive_some()).startswith(b"HTTP/1.1 200 ")
        # One who leaves makes a place.
        await placed[0].aclose()
        while True:
            with suppress(trio.BrokenResourceError, trio.EndOfChannel, AssertionError, OSError):
                if (await fetch(f"ws://127.0.0.1:{port}/", "/a")).status == 200:
                    break


async def test_a_page_that_fails_ends_one_connection_and_is_loud(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: Request) -> Response:
        raise ZeroDivisionError

    async with serving_pages({"/a": hello, "/b": fail}) as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        assert (await fetch(f"ws://127.0.0.1:{port}/", "/a")).text == "hello\n"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None and record.exc_info[0] is ZeroDivisionError
