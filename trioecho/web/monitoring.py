"""The addresses for machines: what watches over the process, and what counts what it does."""

from __future__ import annotations

import trio

from trioecho.sessions.state import Context
from trioecho.web.health import health_pages
from trioecho.web.site import Handler

__all__ = ["machine_pages"]


def machine_pages(context: Context, nursery: trio.Nursery) -> dict[str, Handler]:
    """
    Return the handlers of ``/healthz``, ``/readyz`` and ``/metrics``, as far as they are on.

    What is measured for them is measured in ``nursery``.
    """
    pages: dict[str, Handler] = {}
    if context.hub.limits.health:
        pages |= health_pages(context)
    if context.hub.limits.metrics:
        from trioecho.web.metrics import measure_lag, metrics_page

        pages["/metrics"] = metrics_page(context)
        nursery.start_soon(measure_lag, context.hub.counters)
    return pages
