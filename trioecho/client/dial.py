"""The stream under a client's WebSocket: TCP, through a proxy or not, with TLS or not, or a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import Literal

import trio

from trioecho.client.errors import CertificateNotTrusted, ConnectFailed
from trioecho.client.proxy import Proxy
from trioecho.protocol.url import Address

__all__ = ["IPVersion", "dial"]

IPVersion = Literal[4, 6]

ANY = {4: "0.0.0.0", 6: "::"}
"""Binding to one of these admits only connections of its family."""


async def dial(
    address: Address,
    *,
    ssl_context: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    ip_version: IPVersion | None = None,
) -> trio.abc.Stream:
    """
    Connect. The caller sets the deadline; cancelled or failed, it leaves no socket behind.

    Raises:
        CertificateNotTrusted: TLS would work, but not with this certificate.
        ConnectFailed: anything else.

    """
    stream: trio.abc.Stream
    if address.unix is not None:
        stream = await _connect_unix(address.unix)
    elif proxy is not None:
        stream = await _connect_tcp(proxy.host, proxy.port, f"the proxy {proxy}", ip_version)
    else:
        stream = await _connect_tcp(address.host, address.port, str(address), ip_version)
    try:
        if proxy is not None:
            await proxy.tunnel(stream, address)
        return await _secure(stream, address, ssl_context) if address.tls else stream
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def _connect_tcp(host: str, port: int, where: str, ip_version: IPVersion | None) -> trio.SocketStream:
    try:
        return await trio.open_tcp_stream(
            host, port, local_address=None if ip_version is None else ANY[ip_version]
        )
    except (OSError, UnicodeError) as error:
        there = "there" if f":{port}" in where else f"on port {port}"
        raise ConnectFailed(f"cannot connect to {where}: {_why(error, host, there, ip_version)}") from None


async def _connect_unix(path: str) -> trio.SocketStream:
    try:
        return await trio.open_unix_socket(path)
    except (OSError, ValueError) as error:
        raise ConnectFailed(
            f"cannot connect to the Unix socket {path}: {_why(error, path, 'there')}"
        ) from None


async def _secure(
    stream: trio.abc.Stream, address: Address, ssl_context: ssl.SSLContext | None
) -> trio.abc.Stream:
    secure = trio.SSLStream(
        stream,
        ssl_context or ssl.create_default_context(),
        server_hostname=address.host,
        https_compatible=True,
    )
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise CertificateNotTrusted(
                f"the certificate of {address.host} is not trusted: {cause.verify_message}"
            ) from None
        why = getattr(cause, "reason", None)
        said = str(why).replace("_", " ").lower() if why else "the connection broke off"
        raise ConnectFailed(f"no TLS with {address}: {said}") from None
    return secure


def _why(error: Exception, host: str, there: str, ip_version: IPVersion | None = None) -> str:
    """Say what went wrong; of several addresses, at the first, which is the preferred one."""
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):
        told = [tried for tried in cause.exceptions if getattr(tried, "errno", None) is not None]
        if not told and ip_version is not None:
            return f"{host} has no IPv{ip_version} address"
        error = (told or cause.exceptions)[0]
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"the name {host} is not known"
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    if error.errno == errno.ECONNREFUSED:
        return f"connection refused (nothing listens {there})"
    if error.errno == errno.ENOENT:
        return "there is no such socket"
    return os.strerror(error.errno).lower()
