"""What the log says of where a server listens: the addresses, the page, and who may reach them."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence

import trio

from trioecho.log import log_event, logger
from trioecho.settings import Web
from trioecho.transport.listener_url import url_of

__all__ = ["log_listening", "log_monitoring", "on_loopback"]

Listeners = Sequence[trio.abc.Listener[trio.abc.Stream]]


def log_listening(listeners: Listeners, web: Web, *, is_open: bool, tls: bool = False) -> None:
    """
    Log a line for each listener, and one more if strangers may reach the server and come in.

    The address is the one that is listened on. The page is named where a browser can open it: at the public
    URL, or else at an address of this machine; a Unix socket and listeners in memory have none.
    """
    anywhere = []
    for listener in listeners:
        url, fields = url_of(listener, tls=tls), {}
        host, port = _address(listener)
        if web.page and (web.public_url is not None or host):
            fields["page"] = web.public("http") or f"http{url.removeprefix('ws')}"
        address = _ip(host)
        if address is not None and not address.is_loopback:
            anywhere.append(host)
        if address is not None and address.is_unspecified:
            scheme = url.partition("://")[0]
            url = f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"
        log_event(logging.INFO, "listening", url=url, **fields)
    if anywhere and is_open:
        logger.warning(
            "open to everybody who can reach %s: anyone may listen and publish; set a token (--token-file) or"
            " keep it to this machine (--host 127.0.0.1)",
            " and ".join(dict.fromkeys(anywhere)),
        )


def log_monitoring(listeners: Listeners) -> None:
    """
    Log a line for each listener of the pages for monitoring.

    One that says of itself that it is ``private``, as a worker's, which is for its supervisor, is only named
    to who looks for a bug.
    """
    for listener in listeners:
        level = logging.DEBUG if getattr(listener, "private", False) else logging.INFO
        log_event(level, "listening", metrics=f"http{url_of(listener).removeprefix('ws')}metrics")


def on_loopback(listeners: Listeners) -> bool:
    """Return whether all listeners are TCP, and reached from this machine only."""
    addresses = [_ip(_address(listener)[0]) for listener in listeners]
    return bool(addresses) and all(address is not None and address.is_loopback for address in addresses)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a listener is bound to, if it is one."""
    return ipaddress.ip_address(host.partition("%")[0]) if host else None


def _address(listener: trio.abc.Listener[trio.abc.Stream]) -> tuple[str, int]:
    """Return the address and port that a listener is bound to; an empty address if it is not TCP."""
    if isinstance(listener, trio.SSLListener):
        listener = listener.transport_listener
    name = listener.socket.getsockname() if isinstance(listener, trio.SocketListener) else None
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("", 0)
