"""
``/metrics``: what the server does, for Prometheus.

Nothing is counted for it that the server would not count anyway, but for a fan-out's time and size: all is
added up when somebody asks, in slices, and kept for a moment. No label holds text that a client chose (a
room's name least of all): that would let anybody fill the memory of who watches.

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

from trioecho import disconnect
from trioecho.counters import Counters, Histogram
from trioecho.http.gzip import GZIP, VARY_GZIP, gzipped
from trioecho.http.negotiation import preferred_type
from trioecho.http.request import Request
from trioecho.http.response import NO_STORE, Response
from trioecho.rooms.log import LogFigures
from trioecho.sessions.state import ServerState
from trioecho.web.kept import Kept, Slices
from trioecho.web.site import Handler
from trioecho.web.totals import Totals, totals_of

__all__ = ["measure_lag", "metrics_page"]

LAG_INTERVAL = 0.5
"""How often the event loop's lag is measured (seconds): often enough to see a stall that people feel."""

OPEN_METRICS, PLAIN = "application/openmetrics-text", "text/plain"

ENCODERS: dict[str, tuple[Callable[[CollectorRegistry], bytes], str]] = {
    OPEN_METRICS: (openmetrics.generate_latest, openmetrics.CONTENT_TYPE_LATEST),
    PLAIN: (generate_latest, CONTENT_TYPE_PLAIN_0_0_4),
}
"""How each format is written, and its whole type."""

REASONS = [value.name for value in vars(disconnect).values() if isinstance(value, disconnect.Disconnect)]
"""Reasons that are named before they happen: Prometheus sees no increase in a counter's first value."""

CAUSES = ("401", "403", "500", "503", "overload")
"""Likewise the causes that alerts are about."""

ROOM_SIZES = (1, 10, 100, 1_000, 10_000)
ROOM_SIZE_NAMES = ("1", "2-10", "11-100", "101-1000", "1001-10000", "more")


def metrics_page(state: ServerState) -> Handler:
    """Return what answers ``/metrics``."""
    registry = CollectorRegistry()
    collector = ServerCollector(state)
    registry.register(collector)
    ProcessCollector(registry=registry)

    async def work(encode: Callable[[CollectorRegistry], bytes], slices: Slices) -> bytes:
        await collector.add_up(slices)
        return encode(registry)

    async def shrink(plain: Kept[bytes], slices: Slices) -> bytes:
        return await gzipped(await plain.get())

    kept = {name: Kept(partial(work, encode)) for name, (encode, _) in ENCODERS.items()}
    small = {name: Kept(partial(shrink, plain)) for name, plain in kept.items()}

    async def metrics(request: Request) -> Response:
        # prometheus-client's own choose_encoder() fails at a version that is none, and repeats it.
        name = preferred_type(request.header("accept"), [OPEN_METRICS], PLAIN) or PLAIN
        if state.compressing.gzips(request):
            return Response(200, await small[name].get(), ENCODERS[name][1], (NO_STORE, VARY_GZIP, GZIP))
        return Response(200, await kept[name].get(), ENCODERS[name][1], (NO_STORE, VARY_GZIP))

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
        self._totals = Totals()

    async def add_up(self, slices: Slices) -> None:
        """Add up what the clients count themselves, for :meth:`collect`, which must follow at once."""
        self._totals = await totals_of(self._state.connections, slices)

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, as they are now."""
        yield from self._now()
        yield from self._so_far()

    def _now(self) -> Iterator[Metric]:
        there = _all(self._totals.kinds, "websocket", "events", "http")
        yield _gauge("connections", "Connections, by what they are.", "kind", there)
        rooms = self._state.hub.rooms.values()
        sizes = Counter([ROOM_SIZE_NAMES[bisect_left(ROOM_SIZES, size)] for size in rooms])
        of_size = _all(sizes, *ROOM_SIZE_NAMES)
        yield _gauge("rooms", "Rooms, by how many subscribers are in them.", "subscribers", of_size)
        pending = self._totals.pending_bytes
        yield GaugeMetricFamily("trioecho_pending_bytes", "What waits to be sent to clients.", pending)
        held = self._state.hub.memory.held
        yield GaugeMetricFamily("trioecho_held_bytes", "Held for those who do not keep up or finish.", held)
        able = self._state.hub.compressor.able
        yield GaugeMetricFamily("trioecho_compressing_clients", "Clients that can inflate.", able)
        kept = self._state.hub.histories.cost
        yield GaugeMetricFamily("trioecho_history_bytes", "What it costs to hold what rooms remember.", kept)

    def _so_far(self) -> Iterator[Metric]:
        counters, totals = self._state.hub.counters, self._totals
        counts = {
            "clients": ("Clients that were let in.", counters.connected),
            "messages_received": (
                "Messages taken from clients.",
                counters.messages_in + totals.messages_in,
            ),
            "received_bytes": ("Bytes of those, as frames.", counters.bytes_in),
            "messages_sent": (
                "Messages handed to the network, one for each client that got it.",
                counters.messages_out + totals.sent,
            ),
            "sent_bytes": (
                "Bytes of messages, as frames, for all who were to get them, before anything was dropped.",
                counters.bytes_out,
            ),
            "messages_unsent": (
                "Messages still pending when their client left, one for each.",
                counters.messages_unsent,
            ),
            "messages_missed": (
                "Messages that were forgotten when a client came back for them, one for each.",
                counters.messages_missed,
            ),
            "unknown_places": (
                "Clients that came back to a place that nobody knows any more.",
                counters.places_unknown,
            ),
            "messages_discarded": (
                "Messages read from clients when no room took them any more.",
                counters.messages_discarded,
            ),
            "messages_late": (
                "Messages that the application or a POST published when the server was shutting down.",
                counters.messages_late,
            ),
            "messages_out_of_step": (
                "Messages sent plain to clients that can inflate, one for each.",
                counters.messages_out_of_step,
            ),
            "messages_unable": (
                "Messages sent plain to subscribers that cannot inflate, while others in their room can.",
                counters.messages_unable,
            ),
            "contexts_begun": ("How often a room began to compress without a past.", counters.contexts_begun),
            "compression_seconds": ("Time that compressing took.", counters.compression_seconds),
            "inflated_bytes": (
                "Bytes of messages that came compressed, inflated; added when their client leaves.",
                counters.inflated_bytes,
            ),
        }
        for name, (help, value) in counts.items():
            yield CounterMetricFamily(f"trioecho_{name}", help, value)
        sides = {"in": counters.compression_bytes_in, "out": counters.compression_bytes_out}
        yield _counter("compression_bytes", "Before and after, once for each form.", "side", sides)
        dropped = counters.messages_dropped + totals.dropped
        policy: dict[str, int] = {self._state.hub.settings.when_slow: dropped}
        yield _counter("messages_dropped", "Messages not sent to slow clients.", "policy", policy)
        gone = {**dict.fromkeys(REASONS, 0), **counters.disconnected}
        yield _counter("disconnects", "Clients that are gone, by reason.", "reason", gone)
        refused = {**dict.fromkeys(CAUSES, 0), **counters.refused}
        yield _counter("refusals", "Requests refused, by status or cause.", "cause", refused)
        if self._state.hub.logs is not None:
            yield from _engine(self._state.hub.logs.figures())
        yield _histogram("batch_messages", "Messages in one fan-out.", counters.batch_messages)
        yield _histogram("fan_out_seconds", "Time that one fan-out takes.", counters.fan_out_seconds)
        yield _histogram("loop_lag_seconds", "How late the event loop is.", counters.loop_lag)


def _engine(figures: LogFigures) -> Iterator[Metric]:
    """What there is to say of the engine, if there is one."""
    gauges = {
        "up": ("Whether the engine takes messages.", figures.is_up),
        "round_trip_seconds": ("How long it took to answer the last ping.", figures.round_trip),
        "unconfirmed_bytes": ("Bytes that it has not confirmed yet.", figures.unconfirmed_bytes),
        "rooms_behind": ("Rooms without space for what their logs hold.", figures.behind),
    }
    for name, (help, value) in gauges.items():
        yield GaugeMetricFamily(f"trioecho_engine_{name}", help, value)
    counts = {
        "connects": ("How often it was connected to.", figures.connects),
        "resent": ("Batches appended again over a new connection.", figures.resent),
        "seen_already": ("Batches left out because they had been heard.", figures.known),
        "never_shared": ("Messages that other servers never got.", figures.never_shared),
    }
    for name, (help, value) in counts.items():
        yield CounterMetricFamily(f"trioecho_engine_{name}", help, value)
    missed = {"trimmed": figures.missed, "epoch": figures.epochs}
    help = "Messages that a log had forgotten, and how often nobody knows how many."
    yield _counter("engine_missed", help, "cause", missed)


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
