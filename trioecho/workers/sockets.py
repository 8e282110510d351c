"""
The sockets that workers accept from, opened and kept open by their supervisor.

On Linux each worker has a socket of its own for each address (``SO_REUSEPORT``): the kernel spreads
connections evenly over them, which it does not do for processes that accept from one. As the supervisor keeps
them open, what the kernel has put into the queue of a worker that dies waits for the next. Elsewhere, and for
sockets that are handed in, all workers accept from the same.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

import trio

from trioecho.transport.listeners import open_listeners

__all__ = ["one_for_each", "shared_with_all"]

BACKLOG = 4096
"""Connections that the kernel keeps for a worker that has not accepted them yet; it may keep fewer."""


async def one_for_each(hosts: Sequence[str], port: int, workers: int) -> list[list[socket.socket]]:
    """
    Listen on every address of every host, and return the sockets of each worker.

    Raises:
        ListenError: that is not possible.

    """
    # These say what is wrong, choose a port, and hold it against everybody else meanwhile.
    listeners = await open_listeners(hosts, port)
    plain = [_plain(listener) for listener in listeners]
    if not sys.platform.startswith("linux"):
        return [plain] * workers
    addresses = [(one.family, one.getsockname()) for one in plain]
    for one in plain:
        one.close()
    return [[_listening(family, address) for family, address in addresses] for _ in range(workers)]


def shared_with_all(
    listeners: Sequence[trio.abc.Listener[trio.abc.Stream]], workers: int
) -> list[list[socket.socket]]:
    """Return the sockets of listeners that are there already, for every worker the same."""
    plain = []
    for listener in listeners:
        inner = getattr(listener, "listener", listener)  # one of a Unix socket has one of trio's inside
        assert isinstance(inner, trio.SocketListener)
        plain.append(socket.socket(fileno=os.dup(inner.socket.fileno())))
    return [plain] * workers


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(BACKLOG)
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def _plain(listener: trio.abc.Listener[trio.abc.Stream]) -> socket.socket:
    assert isinstance(listener, trio.SocketListener)
    inner = listener.socket
    return socket.socket(inner.family, inner.type, inner.proto, fileno=inner.detach())
