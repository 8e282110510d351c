"""Connecting to an engine: a stream to one of its hosts, and the first words."""

from __future__ import annotations

import os
import socket
import ssl

import trio

from trioecho.engine.connection import Connection
from trioecho.engine.encryption import tls_trouble
from trioecho.engine.errors import EngineLost, EngineRefused
from trioecho.engine_url import EngineAddress, Host
from trioecho.transport.socket_stream import unlayered

__all__ = ["TIMEOUT", "eviction_policy", "greet", "open_stream"]

TIMEOUT = 5.0
"""How long connecting may take (seconds)."""

WRONG = {
    "NOAUTH": "it wants a password: put user:password@ before its host",
    "WRONGPASS": "it does not take this user and password",
    "NOPERM": "this user may not do all that is needed; the manual says what that is",
    "NOPROTO": "it does not speak RESP3: Redis 7.0 or Valkey 7.2 is needed",
}
"""What is to be said of answers that are mistakes of whoever set it up."""


async def open_stream(host: Host, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    """
    Connect to one host.

    Raises:
        EngineLost: that is not possible; it says why.

    """
    stream: trio.abc.Stream
    silent = f"it does not answer within {TIMEOUT:g} seconds"
    try:
        with trio.fail_after(TIMEOUT):
            if not host.port:
                return unlayered(await trio.open_unix_socket(host.name))
            stream = await trio.open_tcp_stream(host.name, host.port)
            if tls is None:
                return unlayered(stream)
            silent = "its TLS handshake is not answered: does it speak TLS on this port?"
            secured = trio.SSLStream(stream, tls, server_hostname=host.name, https_compatible=True)
            try:
                await secured.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return secured
    except trio.TooSlowError:
        raise EngineLost(silent) from None
    except (OSError, trio.BrokenResourceError) as error:
        cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
        raise EngineLost(_why(cause)) from None


async def greet(connection: Connection, address: EngineAddress) -> None:
    """
    Say who we are, while ``connection`` runs.

    Raises:
        EngineLost: it is no engine that can be used; it says why.

    """
    hello = [b"HELLO", b"3"]
    if address.password is not None:
        hello += [b"AUTH", (address.user or "default").encode(), address.password.encode()]
    try:
        answer = await connection.call(*hello)
        if address.database:
            await connection.call(b"SELECT", b"%d" % address.database)
    except EngineRefused as refused:
        text = WRONG.get(refused.code, str(refused))
        if refused.code == "ERR" and "unknown command" in str(refused).lower():
            text = WRONG["NOPROTO"]
        raise EngineLost(text) from None
    role = answer.get(b"role") if isinstance(answer, dict) else None
    if role != b"master":
        raise EngineLost("it is a replica, which takes no messages")


async def eviction_policy(connection: Connection) -> str | None:
    """
    Return by which policy the engine evicts keys when its memory is full, while ``connection`` runs.

    ``None`` if it evicts none, which rooms need, or if its user may not ask (INFO).
    """
    try:
        answer = await connection.call(b"INFO", b"memory")
    except EngineRefused:
        return None
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    told = dict(line.partition(":")[::2] for line in text.splitlines())
    policy = told.get("maxmemory_policy", "noeviction")
    return None if policy == "noeviction" or told.get("maxmemory", "0") == "0" else policy


def _why(error: BaseException | None) -> str:
    """Say why connecting failed, in a few words."""
    if isinstance(error, ssl.SSLError):
        return tls_trouble(error)
    if isinstance(error, OSError):
        inner = error.__cause__
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
        error = inner if isinstance(inner, OSError) else error
        if isinstance(error, socket.gaierror):
            return "cannot connect: the name of its host is not known"
        # By number: trio's own text has the address, and that in Python's spelling.
        why = os.strerror(error.errno) if error.errno else str(error)
        return f"cannot connect: {why.lower()}"
    return "cannot connect"
