"""The addresses for monitoring: what watches over the process, and what counts what it does."""

from __future__ import annotations

import trio

from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, text_response
from trioecho.sessions.state import ServerState
from trioecho.web.health import health_pages
from trioecho.web.site import Handler

__all__ = ["monitoring_pages"]

READ_ONLY = text_response(405, "This address takes GET and HEAD.", ("Allow", "GET, HEAD"))


def monitoring_pages(state: ServerState, nursery: trio.Nursery) -> dict[str, Handler]:
    """
    Return the handlers of ``/healthz``, ``/readyz`` and ``/metrics``, as far as they are on.

    What is measured for them is measured in ``nursery``.
    """
    pages: dict[str, Handler] = {}
    if state.hub.limits.health:
        pages |= health_pages(state)
    if state.hub.limits.metrics:
        from trioecho.web.metrics import measure_lag, metrics_page

        pages["/metrics"] = metrics_page(state)
        nursery.start_soon(measure_lag, state.hub.counters)
    return {path: _read_only(handler) for path, handler in pages.items()}


def _read_only(handler: Handler) -> Handler:
    """Let only GET and HEAD through to ``handler``."""

    async def read(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise HTTPError(READ_ONLY)
        return await handler(request)

    return read
