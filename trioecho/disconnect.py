"""
Every reason for which a client's session ends, with its close code.

A reason's ``name`` is what logs and counters say, its ``code`` and
``reason`` are what the close frame says (RFC 6455, section 7.4).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Disconnect"]

NO_CLOSE_FRAME = 1006
"""What RFC 6455 (7.1.5) calls a connection that ended without a close frame; never sent."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Why a session ended. ``polite`` means that what is queued for the client is delivered first."""

    name: str
    code: int
    reason: str
    polite: bool = False

    def __str__(self) -> str:
        """As a log line says it."""
        return f"{self.name}: {self.reason}"


def client_closed(code: int, reason: str | None) -> Disconnect:
    """The client closed the connection itself, with this code."""
    return Disconnect("client-closed", code, reason or "the client closed the connection")


LOST = Disconnect("lost", NO_CLOSE_FRAME, "the connection ended without a close frame")
SLOW = Disconnect("slow", 1008, "too slow: held its room for longer than the stall limit")
FULL = Disconnect("full", 1008, "too slow: more bytes pending than allowed")
DEAD = Disconnect("dead", NO_CLOSE_FRAME, "no sign of life after a ping")
BUG = Disconnect("bug", 1011, "the server failed")
SHUTDOWN = Disconnect("shutdown", 1001, "the server is shutting down", polite=True)
ABORTED = Disconnect("aborted", NO_CLOSE_FRAME, "did not take the rest or answer before the shutdown timeout")
CANCELLED = Disconnect("cancelled", NO_CLOSE_FRAME, "the server was cancelled")
UNTAKEN = Disconnect(
    "handshake-timeout",
    NO_CLOSE_FRAME,
    "did not take the answer to its handshake before the handshake timeout",
)
NOT_ALLOWED = Disconnect("not-allowed", 1008, "not allowed to publish in this room")
EXPIRED = Disconnect("expired", 4401, "the token has expired")
TOO_BIG = Disconnect("too-big", 1009, "the message is larger than allowed")
