"""
What systemd and a service tell each other: sockets handed over, notifications, and the watchdog.

Nothing but environment variables and datagrams, so no library is needed. All of it is quietly absent where
the service manager did not ask for it.

Sources: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

import trio

from trioecho.system_errors import reason_of
from trioecho.transport.listeners import ListenError

__all__ = ["inherited_listeners", "notify", "watchdog_interval"]

FIRST_DESCRIPTOR = 3
"""Handed-over sockets begin here (SD_LISTEN_FDS_START)."""

MAX_DESCRIPTORS = 1024
"""More are a wrong variable, and no unit's sockets."""

Environment = MutableMapping[str, str]


def inherited_listeners(environment: Environment | None = None) -> list[tuple[str, trio.SocketListener]]:
    """
    Take over the sockets that systemd listens on for us, each with its name (``FileDescriptorName=``).

    None if there are none for this process. The variables are removed, so that no child takes them for its
    own, and the sockets are closed when another program is started.

    Raises:
        ListenError: what was handed over is no listening stream socket, or the variables make no sense.

    """
    environment = os.environ if environment is None else environment
    pid, count, names = (environment.pop(f"LISTEN_{name}", "") for name in ("PID", "FDS", "FDNAMES"))
    environment.pop("LISTEN_PIDFDID", None)
    if not pid or not count or pid != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()) or int(count) > MAX_DESCRIPTORS:
        raise ListenError(f"LISTEN_FDS must be a number of sockets, not {count!r}")
    named = names.split(":") if names else []
    listeners: list[tuple[str, trio.SocketListener]] = []
    try:
        for index in range(int(count)):
            name = named[index] if index < len(named) else "unknown"
            listeners.append((name, _listener(FIRST_DESCRIPTOR + index)))
    except ListenError:
        for _, listener in listeners:
            listener.socket.close()
        raise
    return listeners


def _listener(descriptor: int) -> trio.SocketListener:
    """Make a listener of a descriptor, of whatever family its socket is."""
    where = f"descriptor {descriptor} of those handed over (LISTEN_FDS)"
    try:
        os.set_inheritable(descriptor, False)
        handed = socket.socket(fileno=descriptor)  # family and kind are asked of the kernel
    except OSError as error:
        raise ListenError(f"{where} is no socket: {reason_of(error)}") from error
    try:
        listening = handed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError:
        listening = 0
    if handed.type != socket.SOCK_STREAM or not listening:
        handed.close()
        raise ListenError(f"{where} does not listen for connections; use ListenStream= and Accept=no")
    handed.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(handed))


def notify(*states: str, environment: Environment | None = None) -> bool:
    """
    Tell the service manager ``READY=1``, ``STOPPING=1``, ``WATCHDOG=1``, ``STATUS=...``, in one datagram.

    ``RELOADING=1`` gets the time that ``Type=notify-reload`` wants beside it. Returns whether it was told:
    not where nobody asked (no ``NOTIFY_SOCKET``) or nobody listens. It never waits: a service must not
    depend on it.
    """
    environment = os.environ if environment is None else environment
    path = environment.get("NOTIFY_SOCKET", "")
    if not path or path[0] not in "/@":  # vsock: is for virtual machines
        return False
    lines = list(states)
    if "RELOADING=1" in lines:
        lines.append(f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
    address = "\0" + path[1:] if path[0] == "@" else path  # an abstract socket (unix(7))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        try:
            sender.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
    return True


def watchdog_interval(environment: Environment | None = None) -> float | None:
    """
    Return how often to send ``WATCHDOG=1`` (seconds), half of what is allowed, or ``None``: nobody watches.

    A value that makes no sense counts as nobody watching.
    """
    environment = os.environ if environment is None else environment
    pid, allowed = environment.get("WATCHDOG_PID", ""), environment.get("WATCHDOG_USEC", "")
    if pid and pid != str(os.getpid()):
        return None
    if not (allowed.isascii() and allowed.isdecimal()) or len(allowed) > 20 or not int(allowed):
        return None
    return int(allowed) / 1_000_000 / 2
