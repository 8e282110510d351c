"""The stream under a client's WebSocket: TCP, TLS over it, or a Unix socket."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import trio

from trioecho.client.address import Address
from trioecho.client.errors import CertificateNotTrusted, ConnectFailed

__all__ = ["dial"]


async def dial(address: Address, ssl_context: ssl.SSLContext | None) -> trio.abc.Stream:
    """
    Connect. The caller sets the deadline; a cancelled dial leaves no socket behind.

    Raises:
        CertificateNotTrusted: TLS would work, but not with this certificate.
        ConnectFailed: anything else.

    """
    try:
        if address.unix is not None:
            stream: trio.SocketStream = await trio.open_unix_socket(address.unix)
        else:
            stream = await trio.open_tcp_stream(address.host, address.port)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"cannot connect to {address}: {_why(address, error)}") from None
    return await _secure(stream, address, ssl_context) if address.tls else stream


async def _secure(
    stream: trio.SocketStream, address: Address, ssl_context: ssl.SSLContext | None
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
        await trio.aclose_forcefully(stream)
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise CertificateNotTrusted(
                f"the certificate of {address.host} is not trusted: {cause.verify_message}"
            ) from None
        why = getattr(cause, "reason", None)
        said = str(why).replace("_", " ").lower() if why else "the connection broke off"
        raise ConnectFailed(f"no TLS with {address}: {said}") from None
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


def _why(address: Address, error: BaseException) -> str:
    """Of what went wrong at several addresses, the first is told: it is the one preferred."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        error = cause.exceptions[0]
    if isinstance(error, socket.gaierror) or isinstance(error, UnicodeError):
        return f"the name {address.host} is not known"
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    if error.errno == errno.ECONNREFUSED:
        return "connection refused (nothing listens there)"
    if error.errno == errno.ENOENT:
        return "there is no such socket"
    return os.strerror(error.errno).lower()
