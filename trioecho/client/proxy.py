"""HTTP proxies: which one the environment wants, and the CONNECT tunnel through it (RFC 9110, 9.3.6)."""

from __future__ import annotations

import urllib.request
from urllib.parse import unquote, urlsplit

import h11
import trio

from trioecho.client.errors import ConnectFailed, Rejected
from trioecho.client.handshake import MAX_HEAD, exchange
from trioecho.options import OptionError
from trioecho.protocol.escape import quote
from trioecho.protocol.url import Address, basic_credentials

__all__ = ["Proxy", "parse_proxy", "proxy_from_environment"]


class Proxy:
    """An HTTP proxy to tunnel through. ``str()`` shows it without its password."""

    def __init__(self, host: str, port: int, credentials: str | None) -> None:
        self.host = host
        self.port = port
        self._credentials = credentials

    def __str__(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def tunnel(self, stream: trio.abc.Stream, address: Address) -> None:
        """
        Ask the proxy, to which ``stream`` is connected, to connect it on to the address.

        Raises:
            ConnectFailed: it will not, or is no proxy. The stream is the caller's to close.

        """
        host = f"[{address.host}]" if ":" in address.host else address.host
        target = f"{host}:{address.port}"
        headers = [("Host", target)]
        if self._credentials is not None:
            headers.append(("Proxy-Authorization", self._credentials))
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        where = f"the proxy {self}"
        status, received, body = await exchange(stream, http, request, where=where, what="an HTTP proxy")
        if not 200 <= status < 300:
            raise Rejected(where, status, received, body, asked=f"open a tunnel to {target}")
        if http.trailing_data[0]:
            raise ConnectFailed(f"{where} sent something of its own through the tunnel")


def parse_proxy(url: str) -> Proxy:
    """
    Parse the URL of a proxy: ``http://user:password@host:port``; ``http://`` may be left out.

    Raises:
        OptionError: it is no such URL.

    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        # What exactly is wrong is not said: it may be half a password.
        raise OptionError("proxy", "must be http://HOST:PORT, with a port from 1 to 65535") from None
    if parts.scheme != "http" or not host or not host.isprintable():
        raise OptionError("proxy", f"must be http://HOST:PORT; {quote(parts.scheme, 20)}:// is not supported")
    user = None if parts.username is None else unquote(parts.username)
    credentials = None if user is None else basic_credentials(user, unquote(parts.password or ""))
    return Proxy(host, port or 80, credentials)


def proxy_from_environment(address: Address) -> Proxy | None:
    """
    Find the proxy for an address: ``https_proxy`` for wss, ``http_proxy`` for ws, or else ``all_proxy``.

    ``no_proxy`` names hosts that are reached without one. Upper case counts as well.

    Raises:
        OptionError: the variable holds something else than an HTTP proxy.

    """
    if address.unix is not None:
        return None
    proxies = urllib.request.getproxies_environment()
    url = proxies.get("https" if address.tls else "http") or proxies.get("all")
    if not url or urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    return parse_proxy(url)
