"""Two addresses that say whether the process is alive, and whether it should get more clients."""

from __future__ import annotations

from trioecho.http.request import Request
from trioecho.http.response import Response, text_response
from trioecho.sessions.state import ServerState
from trioecho.web.site import Handler

__all__ = ["health_pages"]

WORKS = text_response(200, "The process works.")
READY = text_response(200, "Ready for more clients.")
STOPPING = text_response(503, "Not ready: the server is shutting down.")
CROWDED = text_response(503, "Not ready: there are as many connections as allowed.")


def health_pages(state: ServerState) -> dict[str, Handler]:
    """Return ``/healthz``, which answers 200 while the process works, and ``/readyz``, 503 if it is busy."""

    async def works(request: Request) -> Response:
        return WORKS

    async def ready(request: Request) -> Response:
        if state.stopping:
            return STOPPING
        return CROWDED if len(state.connections) >= state.hub.limits.max_connections else READY

    return {"/healthz": works, "/readyz": ready}
