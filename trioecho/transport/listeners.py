"""Where a server listens: host names and ports made into listeners."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

import trio

from trioecho.options import OptionError
from trioecho.system_errors import reason_of

__all__ = ["ListenError", "close_listeners", "open_listeners", "split_address"]

PORT_ATTEMPTS = 10
"""How often to look for one free port on several addresses; each try is nearly sure to succeed."""

UNPRIVILEGED = 1024
"""The first port that anybody may listen on, unless the system says otherwise."""


class ListenError(Exception):
    """The server cannot listen there; the text is one sentence that says why."""


async def open_listeners(hosts: Sequence[str], port: int) -> list[trio.SocketListener]:
    """
    Listen on every address of every host, on one port; port 0 picks one that is free on all of them.

    Raises:
        ListenError: a host is unknown, or the port is taken or not allowed.
        OptionError: the host or port is none.

    If cancelled, nothing is left listening.

    """
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65_535:
        raise OptionError("port", f"must be a whole number from 0 to 65535, not {port!r}")
    if not hosts or not all(isinstance(host, str) and host for host in hosts):
        raise OptionError("host", "must be a name or an address")
    for host in hosts:
        if "/" in host or host.count(":") == 1:
            raise OptionError(
                "host", f"must be a name or an address and nothing else, not {host!r}: see --port"
            )
    for attempt in range(PORT_ATTEMPTS):
        listeners: list[trio.SocketListener] = []
        chosen = port
        host = ""
        try:
            for host in dict.fromkeys(hosts):
                # The resolver gives localhost's two addresses in one go, and port 0 a port to each.
                for address in await _resolve(host):
                    listeners += await trio.open_tcp_listeners(chosen, host=address)
                    chosen = listeners[0].socket.getsockname()[1]
        except BaseException as error:
            await close_listeners(listeners)
            if not isinstance(error, OSError):
                raise
            if port == 0 and listeners and attempt + 1 < PORT_ATTEMPTS:
                continue
            raise ListenError(_complaint(error, host, chosen)) from error
        return listeners
    raise AssertionError("unreachable")


async def close_listeners(listeners: Iterable[trio.abc.Listener[trio.abc.Stream]]) -> None:
    """Close all of them at once, also if cancelled: each close is a checkpoint, and none may be left out."""
    with trio.CancelScope(shield=True):
        for listener in listeners:
            await trio.aclose_forcefully(listener)


async def _resolve(host: str) -> list[str]:
    """Return the addresses of ``host``, each once, in the resolver's order."""
    found = await trio.socket.getaddrinfo(host, 0, type=trio.socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def split_address(address: str) -> tuple[str, int]:
    """
    Take the address for machines apart: ``127.0.0.1:9100``, ``[::1]:9100``.

    Raises:
        OptionError: it is not like that.

    """
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not port.isdecimal() or not port.isascii() or int(port) > 65_535:
        problem = f"must be HOST:PORT, for example 127.0.0.1:9100, not {address!r}"
        raise OptionError("metrics_address", problem)
    return host, int(port)


def _complaint(error: OSError, host: str, port: int) -> str:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(error, trio.socket.gaierror):
        return f"cannot listen on {where}: the host name is not known here"
    why = reason_of(error)
    cause = error.__cause__ or error
    if isinstance(cause, OSError) and cause.strerror:
        why = reason_of(cause)
    hint = "; choose another port, or 0 for any free one" if "in use" in why else ""
    if getattr(cause, "errno", None) == errno.EACCES and port < UNPRIVILEGED:
        hint = f"; ports below {UNPRIVILEGED} take privileges: choose a higher one, or let systemd listen"
    return f"cannot listen on {where}: {why}{hint}"
