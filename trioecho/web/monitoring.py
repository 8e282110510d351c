"""The addresses for monitoring: what watches over the process, and what counts what it does."""

from __future__ import annotations

import trio

from trioecho.http.request import Request
from trioecho.http.response import HTTPError, Response, text_response
from trioecho.sessions.state import ServerState
from trioecho.web.health import health_pages
from trioecho.web.server_status import ServerStatus
from trioecho.web.site import Handler
from trioecho.web.status_page import status_handler

__all__ = ["monitoring_pages", "read_only"]

READ_ONLY = text_response(405, "This address takes GET and HEAD.", ("Allow", "GET, HEAD"))


def monitoring_pages(state: ServerState, nursery: trio.Nursery, *, names: bool) -> dict[str, Handler]:
    """
    Return the handlers of ``/healthz``, ``/readyz``, ``/metrics`` and ``/status``, as far as they are on.

    With ``names``, the status names rooms and addresses. What is measured for them is measured in
    ``nursery``.
    """
    pages: dict[str, Handler] = {}
    if state.settings.health:
        pages |= health_pages(state)
    if state.settings.metrics:
        from trioecho.web.metrics import measure_lag, metrics_page

        pages["/metrics"] = metrics_page(state)
        nursery.start_soon(measure_lag, state.hub.counters)
    if state.settings.status:
        status = ServerStatus(state)
        pages["/status"] = status_handler(status.get, state.compressing.gzips, names=names)
        if state.hub.logs is not None:
            # Of all servers that share the hub, one answers.
            whole = ServerStatus(state, whole_hub=True)
            nursery.start_soon(state.hub.logs.answers.run, whole.get_json)
    return {path: read_only(handler) for path, handler in pages.items()}


def read_only(handler: Handler) -> Handler:
    """Let only GET and HEAD through to ``handler``."""

    async def read(request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise HTTPError(READ_ONLY)
        return await handler(request)

    return read
