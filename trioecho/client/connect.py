"""From an address to a WebSocket: dial, then shake hands, within one deadline."""

from __future__ import annotations

from dataclasses import replace

import trio

from trioecho.client.dial import dial
from trioecho.client.errors import ConnectFailed
from trioecho.client.handshake import Handshake, shake_hands
from trioecho.client.options import ClientOptions
from trioecho.client.proxy import Proxy, parse_proxy, proxy_from_environment
from trioecho.client.token import BEARER, current_token
from trioecho.protocol.url import Address

__all__ = ["open_websocket"]


async def open_websocket(address: Address, options: ClientOptions) -> tuple[trio.abc.Stream, Handshake]:
    """
    Connect, and return the stream with what the server agreed to. Cancelled or failed, no socket is left.

    Raises:
        ConnectFailed: no connection within ``connect_timeout``.
        OptionError: the environment asks for a proxy that cannot be used.

    """
    proxy = _proxy(address, options)
    headers, subprotocols = list(options.headers), list(options.subprotocols)
    bearer = None
    if (token := current_token(options.token, options.token_as)) is not None:
        if options.token_as == "header":
            headers.append(("Authorization", f"Bearer {token}"))
        else:
            bearer = BEARER + token
            subprotocols.append(bearer)
    if address.authorization is not None and not any(name.lower() == "authorization" for name, _ in headers):
        headers.append(("Authorization", address.authorization))
    try:
        with trio.fail_after(options.connect_timeout):
            stream = await dial(
                address, ssl_context=options.ssl_context, proxy=proxy, ip_version=options.ip_version
            )
            try:
                handshake = await shake_hands(
                    stream,
                    where=str(address),
                    host=address.host_header,
                    resource=address.resource,
                    headers=headers,
                    subprotocols=subprotocols,
                    compress=options.compress,
                )
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
    except trio.TooSlowError:
        raise ConnectFailed(f"{address} did not answer within {options.connect_timeout:g} s") from None
    if bearer is not None and handshake.subprotocol == bearer:
        handshake = replace(handshake, subprotocol=None)  # a server that echoes it; nobody else need see it
    return stream, handshake


def _proxy(address: Address, options: ClientOptions) -> Proxy | None:
    if options.proxy is True:
        return proxy_from_environment(address)
    if options.proxy is False or address.unix is not None:
        return None
    return parse_proxy(options.proxy)
