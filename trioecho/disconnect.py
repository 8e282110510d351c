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
OVER_RATE = Disconnect("over-rate", 1008, "sent more than its rate allows")
NEVER_KEPT_UP = Disconnect("never-kept-up", 1008, "too slow: has not kept up since it came, so nobody waits")
SLOW_AGAIN = Disconnect("slow-again", 1008, "too slow: disconnected for that lately, so nobody waits again")
OVER_SHARE = Disconnect("stall-share", 1008, "too slow: its room has waited for its share of the time")
FULL = Disconnect("full", 1008, "too slow: more bytes pending than allowed")
DEAD = Disconnect("dead", NO_CLOSE_FRAME, "no sign of life after a ping")
BUG = Disconnect("bug", 1011, "the server failed")
SHUTDOWN = Disconnect("shutdown", 1001, "the server is shutting down", polite=True)
DRAINED = Disconnect("drained", 1012, "the server restarts: connect again", polite=True)
ABORTED = Disconnect("aborted", NO_CLOSE_FRAME, "did not take the rest or answer before the shutdown timeout")
CANCELLED = Disconnect("cancelled", NO_CLOSE_FRAME, "the server was cancelled")
UNTAKEN = Disconnect(
    "handshake-timeout",
    NO_CLOSE_FRAME,
    "did not take the answer to its handshake before the handshake timeout",
)
FINISHED = Disconnect("finished", 1000, "the conversation is over", polite=True)
HOOK_FAILED = Disconnect("hook-failed", 1011, "the application failed")
HOOK_TIMEOUT = Disconnect("hook-timeout", 1011, "the application took too long")
NOT_ALLOWED = Disconnect("not-allowed", 1008, "not allowed to publish in this room")
UNFINISHED = Disconnect("message-timeout", 1008, "the message did not arrive in time")
OVER_MEMORY = Disconnect("over-memory", 1013, "the server holds too much for its clients: try again later")

TOO_SLOW = frozenset({SLOW, NEVER_KEPT_UP, SLOW_AGAIN, OVER_SHARE, FULL, OVER_MEMORY})
"""The reasons of those who do not take what they get."""

EXPIRED = Disconnect("expired", 4401, "the token has expired")
TOO_BIG = Disconnect("too-big", 1009, "the message is larger than allowed")
