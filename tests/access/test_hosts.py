"""Which hosts a server answers to, so that a stranger's name for 127.0.0.1 gets no answer."""

from __future__ import annotations

import pytest
from helpers.asked import asked

from trioecho.access.hosts import Hosts
from trioecho.options import OptionError


def answered(hosts: Hosts, host: str | None) -> bool:
    refusal = hosts.check(asked("/room", host=host))
    if refusal is not None:
        assert refusal.status == 403
        assert "--allowed-host" in refusal.text
    return refusal is None


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8765",
        "localhost.",
        "chat.localhost:80",
        "127.0.0.1",
        "127.1.2.3:8765",
        "[::1]",
        "[::1]:8765",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        None,
        "",
    ],
)
def test_on_loopback_the_names_of_the_machine_itself_are_answered(host: str | None) -> None:
    assert answered(Hosts(loopback=True), host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "127.1",
        "0.0.0.0",
        "192.168.0.7",
        "[::]",
        "[::2]",
        "::1",
        "localhost:0",
        "localhost:99999",
        "local host",
        "localhost/",
        "ev\u00edl.example",
        "a" * 10_000,
    ],
)
def test_on_loopback_everything_else_is_refused(host: str) -> None:
    assert not answered(Hosts(loopback=True), host)


def test_two_hosts_are_no_host() -> None:
    request = asked("/", ("host", "localhost"), host="localhost")
    assert Hosts(loopback=True).check(request) is not None


def test_allowed_hosts_are_answered_beside_the_machines_own_names() -> None:
    hosts = Hosts(["Chat.example.com", "other.example:8080", "*.lan"], loopback=True)
    for host in ("localhost", "chat.example.com", "chat.example.com:99", "other.example:8080", "a.b.lan:1"):
        assert answered(hosts, host)
    for host in ("example.com", "a.chat.example.com", "other.example", "other.example:80", "lan", "xlan"):
        assert not answered(hosts, host)


def test_a_server_that_strangers_reach_checks_only_what_it_is_told_to() -> None:
    assert answered(Hosts(loopback=False), "anything.example")
    hosts = Hosts(["chat.example.com"], loopback=False)
    assert answered(hosts, "chat.example.com")
    assert not answered(hosts, "evil.example")
    assert not answered(hosts, "localhost")


def test_a_star_switches_the_check_off() -> None:
    assert answered(Hosts(["*"], loopback=True), "evil.example")


@pytest.mark.parametrize(
    "text", ["", "http://example.com", "a b", "*example.com", "example.com:", "*.", "[::1", "ä"]
)
def test_a_host_that_cannot_be_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        Hosts([text], loopback=True)
    assert caught.value.option == "allowed_host"
