"""A reconnect storm: against a real server, and against relays that treat those who come back wrongly."""

from __future__ import annotations

import asyncio
import ssl
import time
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
from trioecho.bench import load as load_module
from trioecho.bench.plan import Plan
from trioecho.bench.poll import SelectorPoll
from trioecho.bench.report import Report
from trioecho.bench.storm import StormLoad
from trioecho.bench.target import Target

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


def test_what_is_lost_after_a_return_is_counted() -> None:
    came: list[ServerConnection] = []
    messages: Counter[ServerConnection] = Counter()
    enough = asyncio.Event()

    async def let_the_last_in_late(client: ServerConnection, request: Request) -> None:
        came.append(client)
        if len(came) == 35 + 30:
            await enough.wait()

    async def leaving_out_one_each(room: Room, sender: ServerConnection, message: Message) -> None:
        """Who came back does not get the second message; the storm lasts until most have the third."""
        back = room.clients.intersection(came[35:])
        messages.update(back)
        await room.send(
            sender,
            message,
            to=lambda client: client is not sender and (client not in back or messages[client] != 2),
        )
        if sum(messages[client] > 2 for client in back) == 29:
            enough.set()

    with relaying(leaving_out_one_each, process_request=let_the_last_in_late) as url:
        report = run(url, stall=2)
    # The last had only its first when the storm was over, and may have missed one since.
    assert report.figures()["faults"]["lost"] in (29, 30)


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


def test_a_room_whose_publisher_is_gone_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "BESIDE_LIMIT", 60.0)
    came: list[ServerConnection] = []

    async def send_the_publisher_away(client: ServerConnection, request: Request) -> None:
        came.append(client)
        if len(came) > 35:
            await came[34].close(1013, "too busy")

    with relaying(process_request=send_the_publisher_away) as url:
        began = time.monotonic()
        report = run(url, rate=5)
    assert time.monotonic() - began < 40
    assert "1 clients were disconnected: closed with 1013 too busy" in report.problems
    figures = report.figures()["storm"]
    assert (figures["returned"], figures["reached"], figures["seconds_to_message"]) == (30, 0, None)
    assert any(line.endswith("a second), and none of them had a message") for line in report.lines())


def test_a_room_that_stands_still_beside_others_ends_the_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "BESIDE_LIMIT", 60.0)
    before: set[ServerConnection] = set()

    async def forgetting_one_room(room: Room, sender: ServerConnection, message: Message) -> None:
        if sender.request and sender.request.path == "/1":
            if not before:
                before.update(room.clients)
            await room.send(sender, message, to=lambda client: client in before - {sender})
        else:
            await room.send(sender, message)

    with relaying(forgetting_one_room) as url:
        began = time.monotonic()
        report = run(url, rooms=2, stall=1)
    assert time.monotonic() - began < 40
    assert "the server stalled: 15 clients that had come back got no message for 1 s" in report.problems
    figures = report.figures()
    assert figures["stalled"] is True
    assert (figures["storm"]["returned"], figures["storm"]["reached"]) == (30, 15)
    assert any(", and 15 of them had a message after" in line for line in report.lines())


def test_a_message_that_is_not_due_yet_is_no_stall() -> None:
    with relaying() as url:
        report = run(url, rate=0.5, stall=0.5, warmup=0)
    assert report.problems == []
    assert report.figures()["storm"]["seconds_to_message"] > 0.5


def test_nobody_who_comes_back_is_said_so() -> None:
    came = 0

    def only_once(client: ServerConnection, request: Request) -> Response | None:
        nonlocal came
        came += 1
        return None if came <= 35 else client.respond(HTTPStatus.SERVICE_UNAVAILABLE, "full\n")

    with relaying(process_request=only_once) as url:
        report = run(url)
    figures = report.figures()["storm"]
    assert (figures["clients"], figures["returned"], figures["reached"]) == (30, 0, 0)
    assert figures["seconds_to_connect"] is None and figures["seconds_to_message"] is None
    assert "storm: 30 clients were cut, and nobody came back" in report.lines()


def test_only_those_who_are_there_are_cut() -> None:
    async def sending_away(room: Room, sender: ServerConnection, message: Message) -> None:
        # All but the four who stay: they came first.
        for client in sorted(room.clients - {sender}, key=arrived.__getitem__)[4:]:
            await client.close(1013, "too busy")
        await room.send(sender, message)

    arrived: dict[ServerConnection, int] = {}

    def count(client: ServerConnection, request: Request) -> None:
        arrived[client] = len(arrived)

    with relaying(sending_away, process_request=count) as url:
        report = run(url, duration=2)
    assert report.figures()["storm"]["clients"] == 0
    assert "storm: nobody was left to be cut" in report.lines()


@pytest.mark.parametrize("relay", [hanging_up, stalling])
def test_a_server_that_fails_in_the_midst_ends_the_run(relay: Any) -> None:
    with relaying(relay) as url:
        report = run(url, duration=2, stall=0.5)
    assert report.problems


def test_tls_sockets_can_be_cut(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with relaying(ssl=context) as url:
        report = run(url, cacert=tmp_path / "ca.pem", resume=True)
    assert report.problems == []
    assert report.figures()["resumed_tls_sessions"] > 0
