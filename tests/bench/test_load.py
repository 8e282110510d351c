"""The load generator on real sockets, against relays that are right and relays that are wrong on purpose."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from helpers.bench_relays import (
    Relay,
    changing,
    doubling,
    dropping,
    fragmented,
    hanging_up,
    prefixing,
    quoting,
    relaying,
    reordering,
    rightly,
    stalling,
    to_everyone,
)
from websockets.utils import accept_key

from trioecho.bench import dial, loop
from trioecho.bench import load as load_module
from trioecho.bench.connection import MAX_CONTROLS, LoadConnection
from trioecho.bench.handshake import DialError
from trioecho.bench.load import Load
from trioecho.bench.plan import Plan
from trioecho.bench.poll import SelectorPoll
from trioecho.bench.report import Report
from trioecho.bench.target import Target

SMALL: dict[str, Any] = {
    "subscribers": 4,
    "window": 8,
    "duration": 0.15,
    "warmup": 0.05,
    "stall": 0.4,
}


def run(url: str, *, cacert: Path | None = None, **options: Any) -> Report:
    load = Load(Plan(**{**SMALL, **options}), Target.parse(url, cacert=cacert))
    load.run()
    return Report(load)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="flood"),
        pytest.param({"window": 1, "subscribers": 1}, id="one-in-flight"),
        pytest.param({"text": False, "size": 70_000}, id="large-binary"),
        pytest.param({"mode": "paced", "rate": 400}, id="paced"),
        pytest.param({"rooms": 2, "publishers": 3}, id="several-publishers"),
        pytest.param({"rooms": 3, "subscribers": 0, "publishers": 4, "mode": "paced", "rate": 50}, id="chat"),
    ],
)
def test_a_right_relay_is_found_right(options: dict[str, Any]) -> None:
    with relaying() as url:
        report = run(url, **options)
    assert report.problems == []
    figures = report.figures()
    assert figures["deliveries"] > 0
    latency = figures["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]


@pytest.mark.parametrize("fault", [False, True])
def test_it_works_without_epoll(monkeypatch: pytest.MonkeyPatch, fault: bool) -> None:
    """As on macOS: large messages, so that it has to wait until it can write, and one who leaves early."""
    monkeypatch.setattr(loop, "best_poll", SelectorPoll)
    with relaying(hanging_up if fault else rightly) as url:
        report = run(url, size=70_000, publishers=2)
    assert bool(report.problems) == fault
    assert fault or report.figures()["deliveries"] > 0


def test_every_message_counts_for_every_receiver() -> None:
    with relaying() as url:
        report = run(url, mode="paced", rate=100, publishers=2, warmup=0)
    figures = report.figures()
    # A busy machine measures for somewhat longer than it was asked to.
    assert figures["messages"] == pytest.approx(30, abs=15)
    # Four subscribers and the other publisher.
    assert figures["deliveries"] == pytest.approx(figures["messages"] * 5, abs=10)


def test_fragments_and_pings_are_no_faults() -> None:
    with relaying(fragmented) as url:
        assert run(url).problems == []


def test_senders_may_be_meant_too() -> None:
    with relaying(to_everyone) as url:
        assert run(url, to="everyone", publishers=2).problems == []
        report = run(url)
    assert "reached their own sender" in report.problems[0]
    assert "--to everyone" in report.notes[0]


@pytest.mark.parametrize(
    ("relay", "fault"),
    [
        (dropping, "lost"),
        (doubling, "duplicated"),
        (reordering, "out_of_order"),
        (changing, "changed"),
    ],
)
@pytest.mark.parametrize("publishers", [1, 2])
def test_what_a_relay_does_wrong_is_named(relay: Relay, fault: str, publishers: int) -> None:
    with relaying(relay) as url:
        report = run(url, publishers=publishers)
    faults = report.figures()["faults"]
    assert faults[fault] >= 4
    assert {name for name in ("lost", "duplicated", "out_of_order", "changed") if faults[name]} == {fault}


@pytest.mark.parametrize("publishers", [1, 2])
@pytest.mark.parametrize("relay", [prefixing, quoting])
def test_a_relay_that_changes_every_message_loses_none(relay: Relay, publishers: int) -> None:
    with relaying(relay) as url:
        report = run(url, publishers=publishers)
    figures = report.figures()
    assert {name for name, count in figures["faults"].items() if count} == {"changed"}
    assert figures["deliveries"] > 0 and not figures["stalled"]
    assert "deliveries were changed by the server" in report.problems[0]
    before = r"somebody\x1b says: " if relay is prefixing else '{"text": "'
    assert report.notes[0] == (
        f"the server puts {before!r} before messages: start it without that (trioecho serve: without --prefix"
        " and TRIOECHO_PREFIX), or measure with --binary if it changes text only"
    )


def test_a_relay_that_changes_text_only_is_right_with_binary() -> None:
    with relaying(prefixing) as url:
        assert run(url, text=False).problems == []


def test_over_a_unix_socket(tmp_path: Path) -> None:
    with relaying(unix=tmp_path / "a.sock") as url:
        report = run(url, rooms=2, subscribers=300, mode="connect")
        assert report.problems == []
        assert report.figures()["url"] == f"ws+unix:{tmp_path}/a.sock:/"
        assert run(url).problems == []


def test_a_name_with_umlauts_is_looked_up_as_the_dns_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server is the only part that is not real: nobody has this name."""
    asked = []

    def look_up(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return found("127.0.0.1", port, type=socket.SOCK_STREAM)

    found = socket.getaddrinfo
    with relaying() as url:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        assert run(url.replace("127.0.0.1", "bücher.invalid")).problems == []
    assert asked == ["xn--bcher-kva.invalid"]


def test_another_rooms_messages_are_a_fault() -> None:
    with relaying(one_room=True) as url:
        report = run(url, rooms=2)
    assert report.figures()["faults"]["misdirected"] > 0


def test_clients_that_are_disconnected_are_named_with_the_reason() -> None:
    with relaying(hanging_up) as url:
        report = run(url)
    assert report.figures()["faults"]["reasons"] == {"closed with 1013 too busy": 4}


def test_a_server_that_stops_delivering_ends_the_run() -> None:
    with relaying(stalling) as url:
        began = time.monotonic()
        report = run(url, duration=60)
        assert time.monotonic() - began < 5
    assert any(problem.startswith("the server stalled") for problem in report.problems)
    assert report.figures()["faults"]["lost"] == 4 * SMALL["window"]


def test_connecting_only() -> None:
    with relaying() as url:
        report = run(url, mode="connect", subscribers=250, pid=os.getpid())
    figures = report.figures()
    assert report.problems == []
    assert figures["connections_per_second"] > 0
    assert figures["server"]["cpu_us_per_connection"] > 0


@pytest.mark.parametrize(
    ("early", "answer", "reasons"),
    [
        (b"\x89\x02hi", b"\x8a\x82", {}),
        (b"\x88\x06\x03\xf5busy", b"", {"closed with 1013 busy": 1}),
        (b"\x80\x00", b"", {"sent a continuation of nothing": 1}),
        (b"\x81\x83", b"", {"sent a masked frame": 1}),
    ],
)
def test_frames_that_come_together_with_the_handshake(
    early: bytes, answer: bytes, reasons: dict[str, int]
) -> None:
    answers = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            request = connection.recv(4096).decode()
            key = request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
            head = f"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
            connection.sendall(head.encode() + early)
            answers.append(connection.recv(2))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        report = run(f"ws://127.0.0.1:{port}/", mode="connect", subscribers=1)
        thread.join()
    assert answers == [answer]
    assert report.figures()["faults"]["reasons"] == reasons


def shake_hands(connection: socket.socket) -> None:
    request = connection.recv(4096).decode()
    key = request.partition("Sec-WebSocket-Key: ")[2].partition("\r\n")[0]
    head = f"HTTP/1.1 101 x\r\nSec-WebSocket-Accept: {accept_key(key)}\r\n\r\n"
    connection.sendall(head.encode())


def fragments_without_end(connection: socket.socket) -> None:
    shake_hands(connection)
    connection.sendall(b"\x02\x00")
    while True:
        connection.sendall((b"\x00\x7f" + (2**20).to_bytes(8, "big") + bytes(2**20)) + b"\x00\x00" * 100)


def pings_without_end(connection: socket.socket) -> None:
    shake_hands(connection)
    while True:
        connection.sendall(b"\x89\x7d" + bytes(125))


def one_byte_after_another(connection: socket.socket) -> None:
    connection.recv(4096)
    for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 10:
        time.sleep(0.02)
        connection.sendall(bytes([byte]))


def against(attack: Callable[[socket.socket], None]) -> Load:
    """Run a load of one connection against a hostile server."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            attack(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        target = Target.parse(f"ws://127.0.0.1:{listener.getsockname()[1]}/")
        load = Load(Plan(mode="connect", subscribers=1, pid=os.getpid()), target)
        try:
            load.run()
        finally:
            thread.join()
    return load


def test_a_message_without_end_ends_that_connection() -> None:
    load = against(fragments_without_end)
    assert load.faults.reasons == {"sent a message of more than 33554432 bytes": 1}


def test_answers_to_pings_that_a_server_does_not_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "CLOSE_LIMIT", 3.0)
    waiting: list[int] = []

    def flush(self: LoadConnection) -> None:
        waiting.append(len(self.controls))
        plain_flush(self)

    plain_flush = LoadConnection.flush
    monkeypatch.setattr(LoadConnection, "flush", flush)
    against(pings_without_end)
    assert MAX_CONTROLS <= max(waiting) < MAX_CONTROLS + 300


def test_it_works_where_there_are_no_unix_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    with relaying() as url:
        monkeypatch.delattr(socket, "AF_UNIX")
        assert run(url).problems == []


def test_a_handshake_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "TIMEOUT", 0.3)
    began = time.monotonic()
    with pytest.raises(DialError, match=r"left a handshake waiting for 0\.3 s"):
        against(one_byte_after_another)
    assert time.monotonic() - began < 3


def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with relaying(rightly, ssl=context) as url:
        assert run(url, cacert=tmp_path / "ca.pem", size=5000).problems == []
