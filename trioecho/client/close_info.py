"""How a connection ended, with the sentence and the exception that say so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wsproto.frame_protocol import CloseReason

from trioecho.client.errors import ConnectionClosed, ConnectionLost
from trioecho.disconnect import NO_CLOSE_FRAME
from trioecho.protocol.escape import quote

__all__ = ["LONGEST_REASON", "CloseInfo"]

NORMAL, GOING_AWAY = 1000, 1001

LONGEST_REASON = 123
"""What a close frame can hold of a reason (bytes; RFC 6455, section 5.5)."""


@dataclass(frozen=True, slots=True)
class CloseInfo:
    """
    How a connection ended.

    ``clean``: close frames were exchanged; otherwise the connection was lost, or broken off by us because
    the server misbehaved (``broken_off``). ``by_us``: we closed it. ``unsent``: messages that were taken from
    the program but not written in whole.
    """

    code: int
    reason: str
    sentence: str
    clean: bool
    by_us: bool = False
    broken_off: bool = False
    unsent: int = 0

    @property
    def quiet(self) -> bool:
        """Whether this is a normal end of a stream of messages: we closed it, or the server had no more."""
        return self.clean and (self.by_us or self.code in (NORMAL, GOING_AWAY)) and not self.unsent

    def error(self) -> ConnectionClosed:
        """Return a new exception that says so."""
        kind = ConnectionClosed if self.clean else ConnectionLost
        plural = "message" if self.unsent == 1 else "messages"
        lost = f"; {self.unsent} {plural} may not have arrived" if self.unsent else ""
        return kind(self.sentence + lost, self.code, self.reason)

    def with_unsent(self, unsent: int) -> CloseInfo:
        """The same end, with so many messages not written."""
        return replace(self, unsent=unsent)

    @classmethod
    def by_server(cls, where: str, code: int, reason: str) -> CloseInfo:
        """The server sent a close frame first."""
        return cls(code, reason, f"{where} closed the connection: {describe(code, reason)}", True)

    @classmethod
    def ours(cls, code: int = NORMAL, reason: str = "") -> CloseInfo:
        """We sent a close frame first, and the server answered it."""
        return cls(code, reason, "we closed the connection", True, by_us=True)

    @classmethod
    def closing(cls) -> CloseInfo:
        """We have sent a close frame, and the server has not answered it yet."""
        return cls(NORMAL, "", "the connection is closing", True, by_us=True)

    @classmethod
    def gave_up(cls, where: str, code: int, what: str) -> CloseInfo:
        """The server did something that it may not do."""
        return cls(code, what, f"{where} {what}", False, broken_off=True)

    @classmethod
    def not_reconnected(cls, sentence: str) -> CloseInfo:
        """The connection was lost before, and could not be opened again."""
        return cls(NO_CLOSE_FRAME, "", sentence, False)

    @classmethod
    def lost(cls, where: str, how: str) -> CloseInfo:
        """There was no close frame."""
        return cls(NO_CLOSE_FRAME, "", f"the connection to {where} was lost: it {how}", False)


def describe(code: int, reason: str) -> str:
    """A close frame in words: its code, the code's name, the reason."""
    try:
        name = CloseReason(code).name.lower().replace("_", " ")
    except ValueError:
        name = "an application's own code"
    if code == CloseReason.NO_STATUS_RCVD:
        return "no reason given"
    return f"{code} ({name})" + (f", {quote(reason, LONGEST_REASON)}" if reason else "")
