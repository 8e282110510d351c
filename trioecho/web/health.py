"""Two addresses that say whether the process is alive, and whether it should get more clients."""

from __future__ import annotations

from trioecho.http.request import Request
from trioecho.http.response import Answer, plain
from trioecho.sessions.state import Context
from trioecho.web.site import Handler

__all__ = ["health_pages"]

WORKS = plain(200, "The process works.")
READY = plain(200, "Ready for more clients.")
STOPPING = plain(503, "Not ready: the server is shutting down.")
CROWDED = plain(503, "Not ready: there are as many connections as allowed.")


def health_pages(context: Context) -> dict[str, Handler]:
    """Return ``/healthz``, which answers 200 while the process works, and ``/readyz``, 503 if it is busy."""

    async def works(request: Request) -> Answer:
        return WORKS

    async def ready(request: Request) -> Answer:
        if context.stopping:
            return STOPPING
        return CROWDED if len(context.connections) >= context.hub.limits.max_connections else READY

    return {"/healthz": works, "/readyz": ready}
