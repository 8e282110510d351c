"""Refusals: what connections are told that are turned away before anything is read from them."""

from __future__ import annotations

import logging
from contextlib import suppress

import trio

from trioecho.access.address_limits import refusal
from trioecho.access.addresses import OverLimit
from trioecho.http.response import unasked
from trioecho.sessions.state import ServerState
from trioecho.transport.closing import close_now, linger_for
from trioecho.transport.peer import address_of
from trioecho.transport.socket_stream import PlainSocket

__all__ = ["Refusals"]

MAX_REFUSALS = 100
"""Connections that are being told at one time; more than that are just closed."""

TIMEOUT = 1.0
"""How long one has to take its answer (seconds)."""


class Refusals:
    """Refuses connections: each costs one write, and a task of ``nursery`` for a second at most."""

    def __init__(self, state: ServerState, nursery: trio.Nursery) -> None:
        self._state = state
        self._nursery = nursery
        self._telling = 0

    def refuse(self, stream: trio.abc.Stream, over: OverLimit, *, answered: bool = True) -> None:
        """
        Close a connection whose address is over a limit; if it is to be ``answered``, say so first.

        Where TLS is to be spoken an answer would take a handshake, which is what the limit saves us from.
        """
        response = refusal(over)
        self._state.hub.counters.refused[over.reason] += 1
        self._state.lines.log(
            logging.INFO,
            "refused",
            address=str(address_of(stream)),
            status=response.status,
            why=response.sentence,
        )
        if answered and isinstance(stream, PlainSocket) and self._telling < MAX_REFUSALS:
            with suppress(OSError):
                stream.send(unasked(response))
            self._telling += 1
            self._nursery.start_soon(self._linger, stream)
        else:
            self._nursery.start_soon(close_now, stream)

    async def _linger(self, stream: trio.abc.Stream) -> None:
        """Give the client a moment to take its answer, then close."""
        try:
            await linger_for(stream, TIMEOUT)
        finally:
            self._telling -= 1
            await close_now(stream)
