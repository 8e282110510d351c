"""
``/metrics``: what the server does, for Prometheus.

Nothing is counted for it that the server would not count anyway, but for a fan-out's time and size: all is
added up when somebody asks. No label holds text that a client chose (a room's name least of all): that would
let anybody fill the memory of who watches.

It loads prometheus-client, so it is itself loaded only when ``serve()`` needs it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import accumulate

import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from trioecho.counters import Counters, Histogram
from trioecho.http.negotiation import preferred_type
from trioecho.http.request import Request
from trioecho.http.response import NO_STORE, Response
from trioecho.sessions.state import ServerState
from trioecho.web.kept import Kept
from trioecho.web.site import Handler

__all__ = ["measure_lag", "metrics_page"]

LAG_INTERVAL = 0.5
"""How often the event loop's lag is measured (seconds): often enough to see a stall that people feel."""

OPEN_METRICS, PLAIN = "application/openmetrics-text", "text/plain"

ENCODERS: dict[str, tuple[Callable[[CollectorRegistry], bytes], str]] = {
    OPEN_METRICS: (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST),
    PLAIN: (generate_latest, CONTENT_TYPE_PLAIN_0_0_4),
}
"""How each format is written, and its whole type."""

ROOM_SIZES = (1, 10, 100, 1_000, 10_000)
ROOM_SIZE_NAMES = ("1", "2-10", "11-100", "101-1000", "1001-10000", "more")


def metrics_page(state: ServerState) -> Handler:
    """Return what answers ``/metrics``."""
    registry = CollectorRegistry()
    registry.register(ServerCollector(state))
    ProcessCollector(registry=registry)

    kept = {name: Kept(partial(encode, registry)) for name, (encode, _) in ENCODERS.items()}

    async def metrics(request: Request) -> Response:
        # prometheus-client's own choose_encoder() fails at a version that is none, and repeats it.
        name = preferred_type(request.header("accept"), [OPEN_METRICS], PLAIN) or PLAIN
        return Response(200, kept[name].get(), ENCODERS[name][1], (NO_STORE,))

    return metrics


async def measure_lag(counters: Counters) -> None:
    """Measure how late the event loop runs a task that is due, until cancelled."""
    while True:
        due = trio.current_time() + LAG_INTERVAL
        await trio.sleep_until(due)
        counters.loop_lag.add(trio.current_time() - due)


class ServerCollector(Collector):
    """What one server has counted and what is there now, as Prometheus has it."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, as they are now."""
        yield from self._now()
        yield from self._so_far()

    def _now(self) -> Iterator[Metric]:
        kinds = Counter([connection.kind for connection in self._state.connections])
        there = _all(kinds, "websocket", "events", "http")
        yield _gauge("connections", "Connections, by what they are.", "kind", there)
        rooms = self._state.hub.rooms.values()
        sizes = Counter([ROOM_SIZE_NAMES[bisect_left(ROOM_SIZES, size)] for size in rooms])
        of_size = _all(sizes, *ROOM_SIZE_NAMES)
        yield _gauge("rooms", "Rooms, by how many subscribers are in them.", "subscribers", of_size)
        pending = sum([each.pending_bytes for each in self._state.connections])
        yield GaugeMetricFamily("trioecho_pending_bytes", "What waits to be sent to clients.", pending)

    def _so_far(self) -> Iterator[Metric]:
        counters, clients = self._state.hub.counters, self._state.connections
        counts = {
            "clients": ("Clients that were let in.", counters.connected),
            "messages_received": (
                "Messages taken from clients.",
                counters.messages_in + sum([client.messages_in for client in clients]),
            ),
            "received_bytes": ("Bytes of those, as frames.", counters.bytes_in),
            "messages_sent": (
                "Messages handed to the network, one for each client that got it.",
                counters.messages_out + sum([client.sent for client in clients]),
            ),
            "sent_bytes": (
                "Bytes of messages, as frames, for all who were to get them, before anything was dropped.",
                counters.bytes_out,
            ),
            "messages_unsent": (
                "Messages still pending when their client left, one for each.",
                counters.messages_unsent,
            ),
            "messages_discarded": (
                "Messages read from clients when no room took them any more.",
                counters.messages_discarded,
            ),
            "messages_late": (
                "Messages that the application or a POST published when the server was shutting down.",
                counters.messages_late,
            ),
        }
        for name, (help, value) in counts.items():
            yield CounterMetricFamily(f"trioecho_{name}", help, value)
        dropped = counters.messages_dropped + sum([client.dropped for client in clients])
        policy: dict[str, int] = {self._state.hub.limits.when_slow: dropped}
        yield _counter("messages_dropped", "Messages not sent to slow clients.", "policy", policy)
        yield _counter("disconnects", "Clients that are gone, by reason.", "reason", counters.disconnected)
        yield _counter("refusals", "Requests refused, by status or cause.", "cause", counters.refused)
        yield _histogram("batch_messages", "Messages in one fan-out.", counters.batch_messages)
        yield _histogram("fan_out_seconds", "Time that one fan-out takes.", counters.fan_out_seconds)
        yield _histogram("loop_lag_seconds", "How late the event loop is.", counters.loop_lag)


def _all(counts: Counter[str], *names: str) -> dict[str, int]:
    """Name also what there is none of, so that a graph falls to zero and does not break off."""
    return {name: counts[name] for name in names}


def _gauge(name: str, help: str, label: str, values: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"trioecho_{name}", help, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _counter(name: str, help: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(f"trioecho_{name}", help, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, help: str, histogram: Histogram) -> Metric:
    bounds = [*[str(float(bound)) for bound in histogram.bounds], "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(f"trioecho_{name}", help, buckets=buckets, sum_value=histogram.total)
