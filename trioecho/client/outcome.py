"""How a connection ended, with the sentence and the exception that tell it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wsproto.frame_protocol import CloseReason

from trioecho.client.errors import ConnectionClosed, ConnectionLost
from trioecho.disconnect import NO_CLOSE_FRAME

__all__ = ["End"]

NORMAL, GOING_AWAY = 1000, 1001


@dataclass(frozen=True, slots=True)
class End:
    """
    How a connection ended.

    ``polite``: a close frame was exchanged; otherwise the connection was lost, or broken off by us because
    the server misbehaved (``our_doing``). ``by_us``: we closed it. ``unsent``: messages that were taken from
    the program but not written in whole.
    """

    code: int
    reason: str
    sentence: str
    polite: bool
    by_us: bool = False
    our_doing: bool = False
    unsent: int = 0

    @property
    def quiet(self) -> bool:
        """Whether this is how a stream of messages ends well: we closed it, or the server was done."""
        return self.polite and (self.by_us or self.code in (NORMAL, GOING_AWAY)) and not self.unsent

    def error(self) -> ConnectionClosed:
        """A new exception that tells it."""
        kind = ConnectionClosed if self.polite else ConnectionLost
        lost = f"; {self.unsent} messages may not have arrived" if self.unsent else ""
        return kind(self.sentence + lost, self.code, self.reason)

    def with_unsent(self, unsent: int) -> End:
        """The same end, with so many messages not written."""
        return replace(self, unsent=unsent)

    @classmethod
    def by_server(cls, where: str, code: int, reason: str) -> End:
        """The server sent a close frame first."""
        return cls(code, reason, f"{where} closed the connection: {describe(code, reason)}", True)

    @classmethod
    def ours(cls, code: int = NORMAL, reason: str = "") -> End:
        """We sent a close frame first, and the server answered it."""
        return cls(code, reason, "we closed the connection", True, by_us=True)

    @classmethod
    def closing(cls) -> End:
        """We have sent a close frame, and the server has not answered it yet."""
        return cls(NORMAL, "", "the connection is closing", True, by_us=True)

    @classmethod
    def gave_up(cls, where: str, code: int, what: str) -> End:
        """The server did what it may not do."""
        return cls(code, what, f"{where} {what}", False, our_doing=True)

    @classmethod
    def not_back(cls, sentence: str) -> End:
        """The connection was lost before, and could not be opened again."""
        return cls(NO_CLOSE_FRAME, "", sentence, False)

    @classmethod
    def lost(cls, where: str, how: str) -> End:
        """There was no close frame."""
        return cls(NO_CLOSE_FRAME, "", f"the connection to {where} is lost: it {how}", False)


def describe(code: int, reason: str) -> str:
    """A close frame in words: its code, the code's name, the reason."""
    try:
        name = CloseReason(code).name.lower().replace("_", " ")
    except ValueError:
        name = "a code of its own"
    if code == CloseReason.NO_STATUS_RCVD:
        return "no reason given"
    return f"{code} ({name})" + (f", {reason}" if reason else "")
