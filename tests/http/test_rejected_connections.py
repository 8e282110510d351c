"""What a request leaves behind when it ends in an error: nothing, and without the help of the collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import h11
import pytest
import trio
import trio.testing
from helpers.http_client import asking, head_of
from helpers.server import serving

from trioecho.http.exchange import Exchange
from trioecho.http.response import HTTPError

TOKEN = {"Authorization": "Bearer secret"}
CHUNKED = {**TOKEN, "Transfer-Encoding": "chunked"}
MUCH = bytes(60_000)

ENDS = {
    "a bad line": b"nonsense\r\n\r\n" + MUCH,
    "a bad header": b"GET / HTTP/1.1\r\nHost: x\r\nno header\r\n\r\n" + MUCH,
    "a bare LF": b"GET / HTTP/1.1\nHost: x\r\n\r\n" + MUCH,
    "no Host": b"GET / HTTP/1.1\r\n\r\n" + MUCH,
    "no path": b"GET x HTTP/1.1\r\nHost: x\r\n\r\n" + MUCH,
    "a header too large": b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000,
    "a bad chunk": head_of(method="POST", headers=CHUNKED) + b"zz\r\n" + MUCH,
    "a bad trailer": head_of(method="POST", headers=CHUNKED) + b"0\r\nA: b\n\r\n" + MUCH,
    "a body too large": head_of(method="POST", headers={**TOKEN, "Content-Length": "99999999"}) + MUCH,
    "chunks too large": head_of(method="POST", headers=CHUNKED) + b"fff0\r\n" + MUCH,
    "a body too late": head_of(method="POST", headers={**TOKEN, "Content-Length": "70000"}) + MUCH,
    "half a head": b"GET / HTTP/1.1\r\nX: " + b"x" * 8000,
    "a handshake that is none": head_of(headers={"Upgrade": "websocket", "Connection": "upgrade"}) + MUCH,
    "what there is not": head_of(headers={"Accept": "image/png"}) + b"nonsense\r\n\r\n" + MUCH,
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left_behind() -> list[object]:
    """Return what there still is of exchanges, without the help of the collector."""
    kinds = (Exchange, h11.Connection, h11.RemoteProtocolError, HTTPError)
    return [found for found in gc.get_objects() if isinstance(found, kinds)]


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("reset", [False, True])
async def test_a_request_that_ends_badly_leaves_nothing_behind(end: str, reset: bool) -> None:
    before = len(left_behind())
    times = {"handshake_timeout": 0.3, "message_timeout": 0.3}
    limits = {**times, "max_message_size": 65_000, "max_pending_bytes": 2**17}
    async with serving(token={"ada": "secret"}, **limits) as server:  # type: ignore[arg-type]
        for _ in range(3):
            async with asking(server.url) as peer:
                await peer.send(ENDS[end])
                if reset:
                    peer.vanish(reset=True)
                else:
                    await peer.read_to_end()
        await server.event("refused", "vanished", count=3)
        with trio.fail_after(5):
            while len(left_behind()) > before:
                await trio.testing.wait_all_tasks_blocked(0.01)
