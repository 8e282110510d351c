"""The supervisor's own small server: the pages for monitoring on their address, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import trio

from trioecho.http.exchange import Exchange
from trioecho.http.response import HTTPError, Response, Unread
from trioecho.log import logger
from trioecho.settings import Settings
from trioecho.transport.closing import linger_for
from trioecho.web.site import Handler, Pages

__all__ = ["serve_together"]

PATIENCE = 5.0
"""How long a request may take (seconds)."""

LINGER = 1.0
"""How long a connection is kept after its response (seconds)."""

MOST_CONNECTIONS = 100
"""Connections at one time: a handful of programs ask, each for a moment. One more is closed at once."""


async def serve_together(listeners: Sequence[trio.SocketListener], pages: Mapping[str, Handler]) -> None:
    """
    Answer, one request a connection, until cancelled.

    No connection waits for another to end: each has its own deadline from the moment it is accepted.
    """
    limit = trio.CapacityLimiter(MOST_CONNECTIONS)
    if listeners:
        await trio.serve_listeners(partial(_answer, Pages(pages), limit), list(listeners))


async def _answer(site: Pages, limit: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    """Answer one request, and close the connection. A failure ends this connection, not the supervisor."""
    async with stream:
        try:
            limit.acquire_nowait()
        except trio.WouldBlock:
            return
        try:
            exchange = Exchange(stream, Settings())
            response = await _response(site, exchange)
            if response is not None:
                await exchange.answer(response, last=True)
                await linger_for(stream, LINGER)
        except (trio.BrokenResourceError, trio.ClosedResourceError, Unread):
            pass  # whoever asked is gone
        except Exception:
            logger.exception("a request for the pages of all workers failed; its connection is closed")
        finally:
            limit.release()


async def _response(site: Pages, exchange: Exchange) -> Response | None:
    with trio.CancelScope() as scope:
        try:
            request = await exchange.receive(scope, PATIENCE)
            if request is None:
                return None
            outcome = await site.answer(request)
        except HTTPError as refused:
            return refused.response
        assert isinstance(outcome, Response)
        return outcome
    return None
