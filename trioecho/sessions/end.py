"""The end of a client: what is counted and logged of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Protocol

from trioecho import disconnect
from trioecho.counters import Counters
from trioecho.disconnect import Disconnect
from trioecho.sessions.state import ServerState

__all__ = ["End", "report_end", "report_refused"]


class Log(Protocol):
    """What writes a line about a client."""

    def __call__(self, level: int, event: str, **more: object) -> None:
        """Write a line."""


@dataclass(frozen=True, slots=True)
class End:
    """
    Why a client's session ended, and what has become of the messages.

    Attributes:
        why: the reason.
        stayed: for how long it was there (seconds).
        received: messages that were taken from it.
        discarded: messages that it sent when no room took them any more.
        sent: messages handed to the network for it.
        dropped: messages that a dropping policy took from it.
        unsent: messages that it was to get and that were not handed to the network in whole.

    """

    why: Disconnect
    stayed: float
    received: int
    discarded: int
    sent: int
    dropped: int
    unsent: int


def report_end(counters: Counters, end: End, log: Log) -> None:
    """Count and log the end of a client; ``log`` says who it was."""
    why = end.why
    counters.disconnected[why.name] += 1
    counters.messages_in += end.received
    counters.messages_out += end.sent
    counters.messages_dropped += end.dropped
    counters.messages_unsent += end.unsent
    log(
        logging.INFO,
        "disconnected",
        why=why.name,
        code=why.code,
        reason=why.reason,
        stayed=end.stayed,
        received=end.received,
        discarded=end.discarded,
        sent=end.sent,
        dropped=end.dropped,
        unsent=end.unsent,
    )


def report_refused(state: ServerState, address: str, why: Disconnect) -> None:
    """Count and log the end of a connection whose client did not take the answer to its request."""
    gone = why in (disconnect.LOST, disconnect.CANCELLED)
    state.hub.counters.refused["vanished" if gone else why.name] += 1
    level, event = (logging.DEBUG, "vanished") if gone else (logging.INFO, "refused")
    state.lines.log(level, event, address=address, why=why.name, reason=why.reason)
