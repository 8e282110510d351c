"""
What all who are connected have to say together, added up for whoever asks: metrics, and the status.

A client counts for itself, so that counting costs nothing; its counts become the server's when it leaves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from trioecho.sessions.base_connection import BaseConnection
from trioecho.web.kept import Slices
from trioecho.web.largest import Largest

__all__ = ["Totals", "totals_of"]


@dataclass(slots=True)
class Totals:
    """
    What the clients of one server have counted and hold now. It may be kept: it holds on to no client.

    Attributes:
        kinds: how many connections there are, by what they are.
        messages_in: messages taken from them.
        sent: messages handed to the network for them.
        dropped: messages that a dropping policy took from them.
        pending_bytes: what waits to be sent to them.

    """

    kinds: Counter[str] = field(default_factory=Counter)
    messages_in: int = 0
    sent: int = 0
    dropped: int = 0
    pending_bytes: int = 0

    def add(
        self, kind: str, messages_in: int, sent: int, dropped: int, pending_bytes: int, sign: int
    ) -> None:
        """Add one connection, or with ``sign`` -1 take it out again."""
        self.kinds[kind] += sign
        self.messages_in += sign * messages_in
        self.sent += sign * sent
        self.dropped += sign * dropped
        self.pending_bytes += sign * pending_bytes


async def totals_of(
    connections: AbstractSet[BaseConnection],
    slices: Slices,
    behind: Largest[BaseConnection] | None = None,
) -> Totals:
    """
    Add up what the clients count themselves; what the server counts must be read at once after that.

    A client that leaves meanwhile adds its counts to the server's: in the end what was added for those who
    are gone is taken out, so that nothing is counted twice, and no total ever falls. Those for whom something
    waits are added to ``behind``; some of them may be gone.
    """
    totals = Totals()
    seen: dict[BaseConnection, tuple[str, int, int, int, int]] = {}

    def look(client: BaseConnection) -> None:
        if client in connections:
            pending = client.pending_bytes
            counts = (client.kind, client.messages_in, client.sent, client.dropped, pending)
            seen[client] = counts
            totals.add(*counts, 1)
            if pending and behind is not None:
                behind.add(pending, client)

    await slices.each(connections, look)
    for client in seen.keys() - connections:  # of many who are seen, this alone is done in one go
        totals.add(*seen[client], -1)
    return totals
