"""A client that does not read the answer to its request is not waited for longer than for the request."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing
from helpers.raw_peer import request

from trioecho import Server, serve
from trioecho.testing import MemoryListener

TIMEOUT = 10.0

REQUESTS = {
    "a WebSocket": request(b"/room"),
    "an event stream": b"GET /room HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n",
    "the head of an event stream": b"HEAD /room HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n",
}


@pytest.mark.parametrize("asked", REQUESTS)
async def test_its_place_is_given_back(asked: str, autojump_clock: trio.testing.MockClock) -> None:
    listener = MemoryListener()
    near, far = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        run = partial(serve, listeners=[listener], handshake_timeout=TIMEOUT, ping_interval=0)
        server: Server = await nursery.start(run)
        await listener.connect(near)
        await far.send_all(REQUESTS[asked])
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        with trio.fail_after(3 * TIMEOUT):
            # Nothing of the answer has been read, so it is the server that has to end the wait.
            while server.counters.refused.total() == 0:  # noqa: ASYNC110 - time is virtual
                await trio.sleep(0.5)
        assert trio.current_time() - began <= TIMEOUT + 1
        assert server.hub.rooms == {}
        nursery.cancel_scope.cancel()
