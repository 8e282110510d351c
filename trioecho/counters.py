"""
What a server has counted since it started.

Floor 0: imports nothing of trioecho.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """
    Totals; those of a client are added when it leaves.

    Attributes:
        came: clients whose handshake was accepted.
        left: clients that are gone, by the name of the reason.
        refused: connections that never became a client, by HTTP status or what happened.
        messages_in: messages taken from clients.
        messages_out: messages handed to the network, one for each client that got it.
        messages_dropped: messages a policy dropped, likewise.
        messages_unsent: messages that were still pending when their client left, likewise.

    """

    came: int = 0
    left: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    messages_in: int = 0
    messages_out: int = 0
    messages_dropped: int = 0
    messages_unsent: int = 0
