"""Where connections come from: given addresses, loopback's many, and what is said when there are none."""

from __future__ import annotations

import errno
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.bench_relays import relaying
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request

from trioecho.bench import sources
from trioecho.bench.handshake import DialError
from trioecho.bench.load import Load
from trioecho.bench.plan import Plan
from trioecho.bench.sources import parse_sources
from trioecho.bench.target import Target
from trioecho.options import OptionError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere loopback is one address")


def came_from(connections: int, *given: str) -> Counter[str]:
    """Connect so often; returns from which addresses that was."""
    seen: Counter[str] = Counter()

    def look(client: ServerConnection, request: Request) -> None:
        seen[client.remote_address[0]] += 1

    with relaying(process_request=look) as url:
        plan = Plan(mode="connect", subscribers=connections, sources=parse_sources(given))
        Load(plan, Target.parse(url)).run()
    return seen


def test_given_addresses_take_turns() -> None:
    assert came_from(6, "127.0.0.2", "127.0.1.4/30") == {"127.0.0.2": 2, "127.0.1.5": 2, "127.0.1.6": 2}


def test_an_address_for_the_other_kind_of_server_is_left_out() -> None:
    assert came_from(2, "::1", "127.0.0.9") == {"127.0.0.9": 2}


def test_one_address_is_enough_while_it_has_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "LOCAL_PORTS", tmp_path / "ports")
    (tmp_path / "ports").write_text("32768\t32777\n")
    assert came_from(8) == {"127.0.0.1": 8}
    assert came_from(20) == {"127.0.0.1": 7, "127.0.0.2": 7, "127.0.0.3": 6}


def test_where_the_ports_cannot_be_counted_the_system_chooses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sources, "LOCAL_PORTS", tmp_path / "hidden")
    assert came_from(3) == {"127.0.0.1": 3}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("192.0.2.1", "--source 192.0.2.1 cannot be used (cannot assign requested address)"),
        ("::1", "no --source is an address of its kind"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_sentence(given: str, sentence: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        plan = Plan(mode="connect", subscribers=1, sources=parse_sources([given]))
        with pytest.raises(DialError) as failed:
            Load(plan, Target.parse(f"ws://127.0.0.1:{port}/")).run()
    assert str(failed.value) == f"cannot connect to ws://127.0.0.1:{port}: {sentence}"


class WithoutPorts(socket.socket):
    """One to whose IPv6 there is no port left: it would take all 28,000 to see that happen."""

    def connect_ex(self, address: Any) -> int:
        """Connect, if there is a port."""
        return errno.EADDRNOTAVAIL if self.family == socket.AF_INET6 else super().connect_ex(address)


@pytest.mark.parametrize("given", [["127.0.0.2"], ["::2", "127.0.0.2"], []], ids=["kind", "bind", "port"])
def test_a_hosts_next_address_is_tried_where_no_way_leads_to_the_first(
    monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    def look_up(host: str, port: int, **_: object) -> list[Any]:
        """The name server is not real: nobody has this name."""
        return [(socket.AF_INET6, 0, 0, "", ("::1", port, 0, 0)), *found("127.0.0.1", port)]

    found = socket.getaddrinfo
    with relaying() as url:
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        monkeypatch.setattr(socket, "socket", WithoutPorts)
        target = Target.parse(url.replace("127.0.0.1", "nobody.invalid"))
        load = Load(Plan(mode="connect", subscribers=2, sources=parse_sources(given)), target)
        load.run()
    assert not load.faults


def test_where_all_of_a_hosts_addresses_fail_each_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int, **_: object) -> list[Any]:
        return [
            *found("127.0.0.1", port),
            *found("127.0.0.2", port),
            (socket.AF_INET6, 0, 0, "", ("::1", port)),
        ]

    found = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "socket", WithoutPorts)
    with socket.socket() as unused:
        unused.bind(("", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DialError) as failed:
            Load(Plan(mode="connect", subscribers=1), Target.parse(f"ws://nobody.invalid:{port}/")).run()
    assert str(failed.value) == (
        f"cannot connect to ws://nobody.invalid:{port}: connection refused;"
        " no local port is left to connect from (--source adds addresses)"
    )


def test_a_server_on_a_unix_socket_is_reached_from_no_address(tmp_path: Path) -> None:
    with relaying(unix=tmp_path / "a.sock") as url:
        Load(Plan(mode="connect", subscribers=2), Target.parse(url)).run()
        with pytest.raises(DialError, match="no --source is an address of its kind"):
            Load(Plan(mode="connect", subscribers=2, sources=("127.0.0.2",)), Target.parse(url)).run()


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1:80", "127.0.0.1/24", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="must be an IP address or a network"):
        parse_sources([text])


def test_a_network_that_is_too_large_is_refused_before_it_is_listed() -> None:
    with pytest.raises(OptionError, match="may be 65536 addresses in all"):
        parse_sources(["::/16"])


def test_one_at_a_time_means_one() -> None:
    under_way = most = 0

    async def begin(client: ServerConnection, request: Request) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)

    async def end(client: ServerConnection, request: Request, response: Any) -> None:
        nonlocal under_way
        under_way -= 1

    with relaying(process_request=begin, process_response=end) as url:
        Load(Plan(mode="connect", subscribers=30, at_once=1), Target.parse(url)).run()
    assert most == 1
