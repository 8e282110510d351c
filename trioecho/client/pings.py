"""The pings of one connection that wait for their pongs."""

from __future__ import annotations

import os

import trio

__all__ = ["Pings"]


class Pings:
    """Payloads that were sent, the oldest first, each with who waits for it."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, trio.Event] = {}

    def new(self) -> bytes:
        """Make a payload for a ping that somebody will wait for."""
        payload = os.urandom(8)
        self._waiting[payload] = trio.Event()
        return payload

    async def answer(self, payload: bytes) -> None:
        """Wait for the pong, or for the end; cancelled, it is forgotten."""
        try:
            await self._waiting[payload].wait()
        finally:
            del self._waiting[payload]

    def answered(self, payload: bytes) -> None:
        """A pong came, for its ping and those before it, which a server may skip (RFC 6455, 5.5.3)."""
        if payload in self._waiting:
            for sent, event in self._waiting.items():
                event.set()
                if sent == payload:
                    break

    def end(self) -> None:
        """No pong will come any more."""
        for event in self._waiting.values():
            event.set()
