"""Listeners: their URLs can be joined with a room's name, and none is left behind."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import trio

from trioecho.protocol.url import parse_address
from trioecho.transport.listener_url import url_of
from trioecho.transport.listeners import open_listeners
from trioecho.transport.unix_listener import open_unix_listener


async def test_a_rooms_name_goes_right_behind_the_url_of_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    listening = trio.socket.socket(socket.AF_UNIX)
    await listening.bind(str(path))
    listening.listen()
    async with trio.SocketListener(listening) as listener:
        assert url_of(listener) == f"ws+unix:{path}:/"
        address = parse_address(f"{url_of(listener)}news")
        assert (address.unix, address.resource) == (str(path), "/news")


async def test_a_unix_socket_that_was_handed_over_has_the_url_it_is_reached_by(tmp_path: Path) -> None:
    """As a worker has it: a descriptor, of which the kernel knows only the name it had at first."""
    path = str(tmp_path / "echo.sock")
    async with open_unix_listener(path) as listener:
        handed = socket.socket(fileno=os.dup(listener.listener.socket.fileno()))
        async with trio.SocketListener(trio.socket.from_stdlib_socket(handed)) as theirs:
            assert url_of(listener) == url_of(theirs) == f"ws+unix:{path}:/"


class Resolver(trio.abc.HostnameResolver):
    """One that knows the first host, and never answers for another."""

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # type: ignore[no-untyped-def]
        if host == b"second.test":
            await trio.sleep_forever()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async def getnameinfo(self, sockaddr, flags):  # type: ignore[no-untyped-def]
        raise NotImplementedError


async def test_cancelled_while_the_second_host_is_resolved_no_listener_is_left() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with trio.move_on_after(0.2):
        await open_listeners(["first.test", "second.test"], port)
        pytest.fail("the second host was never resolved")
    with pytest.raises(OSError, match="all attempts to connect"):
        await trio.open_tcp_stream("127.0.0.1", port)
