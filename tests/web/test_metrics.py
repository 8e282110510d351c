"""/metrics, read by prometheus-client's own parser: it adds up with what was sent and what was dropped."""

from __future__ import annotations

import pytest
import trio
from helpers.http_client import asking, fetch, head_of
from helpers.raw_peer import TEXT, close, connected, frame, joined, request
from helpers.server import Serving, serving
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from trioecho.web.metrics import LAG_INTERVAL

Samples = dict[tuple[str, ...], float]


LAST: dict[str, str] = {}
"""What each server was last scraped for. The process's own samples make every new scrape another one."""


async def scrape(server: Serving) -> Samples:
    """Return every sample, by its name and the values of its labels, as they are now and not as kept."""
    while (text := (await fetch(server.url, "/metrics")).text) == LAST.get(server.url):
        pass
    LAST[server.url] = text
    found: Samples = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, *sample.labels.values())
            assert key not in found
            found[key] = sample.value
    return found


async def test_it_adds_up_with_what_was_sent() -> None:
    async with serving() as server:
        async with (
            joined(server.url, b"/room") as one,
            joined(server.url, b"/room") as other,
            asking(server.url) as listener,
        ):
            await listener.send(head_of("/room", headers={"Accept": "text/event-stream"}))
            await listener.read_until(b"listening\n\n")
            for _ in range(10):
                await one.send(frame(TEXT, b"x" * 10) * 7)
            for _ in range(70):
                await other.read_frame()
            post = {"Authorization": "Bearer secret"}
            await fetch(server.url, "/room", method="POST", headers=post, body=b"y" * 10)
            for peer in (one, other):
                await peer.read_frame()
            await listener.read_until(b"event: binary\ndata: eXl5eXl5eXl5eQ==\n\n")

            there = await scrape(server)
            assert there["trioecho_connections", "websocket"] == 2
            assert there["trioecho_connections", "events"] == 1
            assert there["trioecho_connections", "http"] == 1  # the one that asks
            assert there["trioecho_rooms", "2-10"] == 1 and there["trioecho_rooms", "1"] == 0
            assert there["trioecho_clients_total",] == 3
            assert there["trioecho_messages_received_total",] == 71
            assert there["trioecho_messages_sent_total",] == 70 * 2 + 3
            assert there["trioecho_received_bytes_total",] == 71 * 12
            assert there["trioecho_sent_bytes_total",] == (70 * 2 + 3) * 12
            assert there["trioecho_pending_bytes",] == 0
            assert there["trioecho_batch_messages_sum",] == 71
            assert there["trioecho_batch_messages_bucket", "+Inf"] == there["trioecho_fan_out_seconds_count",]
            assert there["trioecho_fan_out_seconds_sum",] > 0
            await other.send(close())
            await other.read_close()
        await server.event("disconnected", count=3)
        gone = await scrape(server)
        for counter in ("messages_received", "messages_sent", "sent_bytes", "clients"):
            assert gone[f"trioecho_{counter}_total",] == there[f"trioecho_{counter}_total",]
        assert gone["trioecho_disconnects_total", "client-closed"] >= 1
        assert sum(value for key, value in gone.items() if key[0] == "trioecho_disconnects_total") == 3
        assert gone["trioecho_connections", "websocket"] == gone["trioecho_rooms", "2-10"] == 0


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_it_adds_up_with_what_was_dropped(policy: str) -> None:
    size, sent = 100_000, 300
    limits = {"max_pending_bytes": 2**20, "max_message_size": 2**20}
    async with serving(when_slow=policy, **limits) as server:  # type: ignore[arg-type]
        async with joined(server.url, b"/room", stuck=True), joined(server.url, b"/room") as reader:
            for _ in range(sent):
                await server.server.hub.publish("/room", bytes(size))
                await reader.read_frame()
            found = await scrape(server)
            dropped = found["trioecho_messages_dropped_total", policy]
            pending = found["trioecho_pending_bytes",]
            assert dropped > 0 and 0 < pending <= 2**20
            figures = (await fetch(server.url, "/room", headers={"Accept": "application/json"})).value
            assert figures["dropped"] == dropped and figures["pending_bytes"] == pending
        await server.event("disconnected", count=2)
        gone = await scrape(server)
        unsent = gone["trioecho_messages_unsent_total",]
        assert gone["trioecho_messages_dropped_total", policy] == dropped
        assert gone["trioecho_messages_sent_total",] + dropped + unsent == 2 * sent


async def test_it_counts_who_was_refused_by_cause_and_repeats_nothing_a_client_chose() -> None:
    async with serving(max_rooms=1) as server, joined(server.url, b"/chosen-by-a-client"):
        async with asking(server.url) as peer:
            await peer.send(b"\x16\x03\x01")
            await peer.read_answer()
        async with asking(server.url) as peer:
            await peer.send(request(b"/another", headers={b"Sec-WebSocket-Key": b"chosen-by-a-client"}))
            await peer.read_answer()
        async with asking(server.url) as peer:
            await peer.send(request(b"/another"))
            await peer.read_answer()
        async with connected(server.url) as peer_that_vanishes:
            peer_that_vanishes.vanish(reset=True)
            await server.event("vanished")
        found = await scrape(server)
        assert found["trioecho_refusals_total", "400"] == 2
        assert found["trioecho_refusals_total", "503"] == 1
        assert found["trioecho_refusals_total", "vanished"] == 1
        assert not [key for key in found if "chosen" in "".join(key) or "another" in "".join(key)]


async def test_what_an_alert_is_about_is_zero_before_it_happens() -> None:
    """Prometheus sees no increase in the first value of a counter that was not there before."""
    async with serving() as server:
        found = await scrape(server)
        for reason in ("bug", "slow", "full", "dead", "shutdown"):
            assert found["trioecho_disconnects_total", reason] == 0
        for cause in ("401", "403", "500", "503", "overload"):
            assert found["trioecho_refusals_total", cause] == 0


async def test_it_speaks_openmetrics_to_who_asks_for_it() -> None:
    async with serving() as server:
        headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = await fetch(server.url, "/metrics", headers=headers)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        families = parse_openmetrics(answer.text)  # type: ignore[no-untyped-call]
        names = {family.name for family in families}
        assert {"trioecho_clients", "trioecho_loop_lag_seconds", "process_open_fds"} <= names


async def test_the_lag_of_the_event_loop_is_measured(autojump_clock: trio.testing.MockClock) -> None:
    async with serving() as server:
        await trio.sleep(LAG_INTERVAL * 10.5)
        lag = server.server.counters.loop_lag
        assert sum(lag.counts) == lag.counts[0] == 10


@pytest.mark.parametrize("version", ["x", "0.0.1", "1" * 5000, "%00", ""])
async def test_a_version_that_is_none_does_no_harm(version: str) -> None:
    async with serving() as server:
        headers = {"Accept": f"application/openmetrics-text;version={version}"}
        answer = await fetch(server.url, "/metrics", headers=headers)
        assert answer.status == 200 and "1111" not in answer.headers["content-type"]
        assert not server.tracebacks
