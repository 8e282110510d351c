"""A reconnect storm: against a real server, and against relays that treat those who come back wrongly."""

from __future__ import annotations

import ssl
from collections import Counter
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from helpers.bench_relays import Message, Room, hanging_up, relaying, stalling
from helpers.server_process import running
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from trioecho.bench import dial, loop
from trioecho.bench.latency import Latency
from trioecho.bench.messages import Messages
from trioecho.bench.plan import Plan
from trioecho.bench.poll import SelectorPoll
from trioecho.bench.report import Report
from trioecho.bench.returning import InterruptedStream, ReturnedTrack
from trioecho.bench.storm import StormLoad
from trioecho.bench.target import Target
from trioecho.bench.track import Faults, Track

SMALL: dict[str, Any] = {
    "mode": "storm",
    "subscribers": 30,
    "stayed": 4,
    "rate": 50,
    "duration": 0.3,
    "warmup": 0.1,
}


def run(url: str, *, cacert: Path | None = None, compress: bool = False, **options: Any) -> Report:
    load = StormLoad(Plan(**{**SMALL, **options}), Target.parse(url, cacert=cacert, compress=compress))
    load.run()
    return Report(load)


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        pytest.param({}, False, id="one-room"),
        pytest.param({"rooms": 2, "publishers": 3, "stayed": 6}, False, id="rooms-of-several-publishers"),
        pytest.param({"to": "everyone", "size": 2_000}, False, id="large-to-everyone"),
        pytest.param({}, True, id="compressed"),
    ],
)
async def test_everybody_comes_back_to_a_real_server(options: dict[str, Any], offered: bool) -> None:
    to = ["--to", str(options.get("to", "others"))]
    async with running(*to) as server:
        report = await trio.to_thread.run_sync(
            lambda: run(server.url, compress=offered, pid=server.process.pid, **options)
        )
    assert report.problems == []
    figures = report.figures()
    storm = figures["storm"]
    assert storm["clients"] == storm["returned"] == 30
    assert 0 < storm["seconds_to_connect"] and 0 < storm["seconds_to_message"]
    assert storm["handshakes_per_second"] == pytest.approx(30 / storm["seconds_to_connect"])
    for part in ("stayed_before_ms", "stayed_during_ms"):
        assert 0 < storm[part]["p50"] <= storm[part]["p99"]
    assert storm["server_busy"] >= 0
    # Those who stayed are the only ones whose latencies count.
    assert figures["latency_ms"] == storm["stayed_before_ms"]
    lines = "\n".join(report.lines())
    assert "storm: 30 clients were cut; 30 were connected again after" in lines
    assert "who stayed, ms: during p50" in lines


async def test_the_server_sees_that_they_are_cut_and_that_nobody_else_is() -> None:
    async with running("--log-level", "debug") as server:
        report = await trio.to_thread.run_sync(lambda: run(server.url))
        assert report.problems == []
        await server.event("disconnected", count=30 + 30 + 4 + 1)
        reasons = Counter(entry["reason"] for entry in server.find("disconnected"))
    assert len(server.find("connected")) == 30 + 4 + 1 + 30
    assert reasons["the connection ended without a close frame"] == 30
    assert reasons["the client closed the connection"] == 35


async def test_sessions_are_resumed_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "all.pem"))
    async with running("--tls-cert", str(tmp_path / "all.pem")) as server:
        for resume in (True, False):
            report = await trio.to_thread.run_sync(
                partial(run, server.url, cacert=tmp_path / "ca.pem", resume=resume)
            )
            assert report.problems == []
            # All but the first.
            assert report.figures()["resumed_tls_sessions"] == (64 if resume else 0)


def test_it_works_without_epoll(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "best_poll", SelectorPoll)
    monkeypatch.setattr(dial, "best_poll", SelectorPoll)
    with relaying() as url:
        assert run(url).problems == []


async def deaf_to_the_late(room: Room, sender: ServerConnection, message: Message) -> None:
    """Leave out some messages for everybody but the first who came."""
    first = sorted(room.clients, key=lambda client: client.remote_address[1])[:3]
    await room.send(sender, message, to=None if not room.wrong_turn() else lambda client: client in first)


def test_what_is_lost_after_a_return_is_counted() -> None:
    with relaying(deaf_to_the_late) as url:
        # Slow enough in coming to an end that one of forty messages falls among them.
        report = run(url, rate=400)
    assert report.figures()["faults"]["lost"] > 0


def test_who_is_not_let_in_again_is_named() -> None:
    came = 0

    def only_so_many(client: ServerConnection, request: Request) -> Response | None:
        nonlocal came
        came += 1
        return None if came <= 35 + 20 else client.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full\n")

    with relaying(process_request=only_so_many) as url:
        report = run(url)
    figures = report.figures()
    assert figures["storm"]["returned"] == 20
    [(reason, count)] = figures["faults"]["reasons"].items()
    assert count == 10
    assert reason.startswith("did not come back: ") and "503" in reason
    assert "20 were connected again" in "\n".join(report.lines())


@pytest.mark.parametrize("relay", [hanging_up, stalling])
def test_a_server_that_fails_in_the_midst_ends_the_run(relay: Any) -> None:
    with relaying(relay) as url:
        report = run(url, duration=2, stall=0.5)
    assert report.problems


class Place:
    """A client's place in a stream of which ten messages are sent, joined after ``joined`` of them."""

    def __init__(self, joined: int) -> None:
        self.stream = InterruptedStream(Messages(0, count=40, size=20, text=True), 10, Latency(), [])
        self.stayer = Track(self.stream)
        self.stream.send(joined, 0)
        self.track = ReturnedTrack(self.stream)
        self.stream.send(10 - joined, 0)
        self.faults = Faults()

    def hear(self, *numbers: int) -> dict[str, int]:
        """It gets these messages, and then no more; returns what was wrong with that."""
        for number in numbers:
            self.track.arrived(number, 1, self.faults)
        self.track.finish(self.faults)
        return {name: count for name, count in self.faults.counts().items() if count}


@pytest.mark.parametrize(
    ("numbers", "wrong"),
    [
        pytest.param(range(6, 10), {}, id="from-its-place-on"),
        pytest.param(range(3, 10), {}, id="from-before-its-place-on"),
        pytest.param(range(7, 10), {"lost": 1}, id="one-too-late"),
        pytest.param([3, 5, 6, 7, 8, 9], {"lost": 1}, id="a-gap-before-its-place"),
        pytest.param([4, 6, 7, 8, 9], {"lost": 1}, id="a-gap-up-to-its-place"),
        pytest.param([4, 5, 6, 7, 9], {"lost": 1}, id="a-gap-after-its-place"),
        pytest.param([3, 5, 4, 6, 7, 8, 9], {"out_of_order": 1}, id="out-of-order-before-its-place"),
        pytest.param([4, 4, 5, 6, 7, 8, 9], {"duplicated": 1}, id="twice-before-its-place"),
        pytest.param([6, 5, 7, 8, 9], {"duplicated": 1}, id="back-again"),
        pytest.param([], {"lost": 4}, id="nothing"),
    ],
)
def test_where_somebody_who_comes_back_may_begin(numbers: list[int], wrong: dict[str, int]) -> None:
    place = Place(joined=6)
    assert place.stream.waiting == {place.track.follower}
    assert place.hear(*numbers) == wrong
    assert place.stream.waiting == set()


def test_only_those_who_stay_are_measured() -> None:
    place = Place(joined=6)
    place.stream.watched.since = 0
    place.stream.stayed.add(place.stayer.follower)
    place.hear(*range(6, 10))
    assert not place.stream.watched.counts
    for number in range(10):
        place.stayer.arrived(number, 1, place.faults)
    assert sum(place.stream.watched.counts.values()) == 10


def test_the_window_waits_for_those_who_came_back() -> None:
    place = Place(joined=6)
    for number in range(10):
        place.stayer.arrived(number, 1, place.faults)
    assert (place.stream.floor, place.stream.room) == (6, 6)
    place.track.arrived(6, 1, place.faults)
    assert place.stream.floor == 7


def test_tls_sockets_can_be_cut(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with relaying(ssl=context) as url:
        report = run(url, cacert=tmp_path / "ca.pem", resume=True)
    assert report.problems == []
    assert report.figures()["resumed_tls_sessions"] > 0
