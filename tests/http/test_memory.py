"""What a rejected request leaves behind: nothing that waits for the cyclic garbage collector."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import pytest
import trio.testing

from trioecho.http.exchange import Exchange
from trioecho.http.response import HTTPError
from trioecho.settings import Settings

BEHIND = bytes(60_000)
"""What comes in the same packet as the request."""

REJECTED = {
    "h11 finds it invalid": b"GET / HTTP/1.1\r\nno header\r\n\r\n",
    "we do": b"GET / HTTP/1.1\r\nfolded: a\r\n b\r\n\r\n",
    "no room's name": b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a body that is too large": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    "a chunk that is none": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    tracemalloc.start()
    yield
    tracemalloc.stop()
    gc.enable()


async def reject(request: bytes) -> None:
    server, client = trio.testing.memory_stream_pair()
    await client.send_all(request + BEHIND)
    exchange = Exchange(server, Settings())
    try:
        with trio.CancelScope() as scope:
            received = await exchange.receive(scope, 60.0)
        assert received is not None
        await received.read()
    except HTTPError as refused:
        response = refused.response
    await exchange.answer(response)
    await client.aclose()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("why", REJECTED)
async def test_rejected_requests_leave_no_memory(why: str) -> None:
    for _ in range(50):
        await reject(REJECTED[why])
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(400):
        await reject(REJECTED[why])
    after, _ = tracemalloc.get_traced_memory()
    # A quarter of what came: trio's own memory streams are cycles, of 4 kB for each pair.
    assert after - before < 100 * len(BEHIND), f"{after - before:,} bytes stay"
