"""Two addresses that say whether the process is alive, and whether it should get more clients."""

from __future__ import annotations

from trioecho.http.request import Request
from trioecho.http.response import NO_STORE, Response, text_response
from trioecho.sessions.state import ServerState
from trioecho.web.site import Handler

__all__ = ["health_pages"]

ALIVE = text_response(200, "The process is alive.", NO_STORE)
READY = text_response(200, "Ready for more clients.", NO_STORE)
STOPPING = text_response(503, "Not ready: the server is shutting down.", NO_STORE)
ALONE = text_response(503, "Not ready: the engine is away, and messages wait for it.", NO_STORE)
CROWDED = text_response(503, "Not ready: there are as many connections as allowed.", NO_STORE)


def health_pages(state: ServerState) -> dict[str, Handler]:
    """Return ``/healthz``, 200 while the process is alive, and ``/readyz``, 503 if it can't serve more."""

    async def alive(request: Request) -> Response:
        return ALIVE

    async def ready(request: Request) -> Response:
        if state.stopping:
            return STOPPING
        if state.hub.logs is not None and not state.hub.logs.is_ready:
            return ALONE
        return CROWDED if len(state.connections) >= state.settings.max_connections else READY

    return {"/healthz": alive, "/readyz": ready}
