"""The addresses for machines: what watches over the process, and what counts what it does."""

from __future__ import annotations

import trio

from trioecho.sessions.state import ServerState
from trioecho.web.health import health_pages
from trioecho.web.site import Handler

__all__ = ["monitoring_pages"]


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
    return pages
