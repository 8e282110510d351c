"""Sentinels: processes that watch a primary and its replicas, and say which of them is the primary now."""

from __future__ import annotations

import ssl
from typing import Any

import trio

from trioecho.engine.connection import Connection
from trioecho.engine.dial import open_stream
from trioecho.engine.errors import EngineLost, EngineRefused, first_of
from trioecho.engine_url import EngineAddress, Host

__all__ = ["ask_sentinel"]

TIMEOUT = 2.0
"""How long one sentinel may take (seconds): the next may know."""

WRONG = {
    "NOAUTH": "it wants a password: give it as ?sentinel_password=",
    "WRONGPASS": "it does not take this user and password of ?sentinel_password=",
    "NOPERM": "its user may not ask for the primary (SENTINEL GET-MASTER-ADDR-BY-NAME)",
}
"""What is to be said of answers that are mistakes of whoever set it up."""

UNANSWERED = object()


async def ask_sentinel(sentinel: Host, address: EngineAddress, tls: ssl.SSLContext | None) -> Host:
    """
    Return the primary that a sentinel names.

    Raises:
        EngineLost: it names none; it says why.

    """
    answer = None
    with trio.move_on_after(TIMEOUT) as waiting:
        answer = await _answer(await open_stream(sentinel, tls), address)
    if waiting.cancelled_caught:
        raise EngineLost(f"it does not answer within {TIMEOUT:g} seconds")
    if answer is None:
        raise EngineLost("it knows no primary of this name")
    try:
        host, port = answer
        return Host(host.decode(), int(port))
    except (TypeError, ValueError, AttributeError):
        raise EngineLost("it is no sentinel") from None


async def _answer(stream: trio.abc.Stream, address: EngineAddress) -> Any:
    """Ask over ``stream``, and close it."""
    assert address.primary is not None
    connection = Connection(stream, lambda channel, message: None)
    answer: Any = UNANSWERED
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            if address.sentinel_password is not None:
                user = [] if address.sentinel_user is None else [address.sentinel_user.encode()]
                await connection.call(b"AUTH", *user, address.sentinel_password.encode())
            answer = await connection.call(b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", address.primary.encode())
            nursery.cancel_scope.cancel()
    except* EngineLost as group:
        if answer is UNANSWERED:  # else it has hung up as it answered, and that is as good
            lost = first_of(group)
            if isinstance(lost, EngineRefused):
                unknown = lost.code == "ERR" and "unknown command" in str(lost).lower()
                lost = EngineLost("it is no sentinel" if unknown else WRONG.get(lost.code, str(lost)))
            raise lost from None
    finally:
        await trio.aclose_forcefully(stream)
    return answer
