"""
What all who are connected have to say together, added up for whoever asks: metrics, and the status.

A client counts for itself, so that counting costs nothing; its counts become the server's when it leaves.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from trioecho.sessions.base_connection import BaseConnection
from trioecho.web.kept import Slices
from trioecho.web.largest import Largest
from trioecho.web.status import MOST_CLIENTS

__all__ = ["Totals", "totals_of"]


@dataclass(slots=True)
class Totals:
    """
    What the clients of one server have counted and hold now.

    Attributes:
        messages_in: messages taken from them.
        sent: messages handed to the network for them.
        dropped: messages that a dropping policy took from them.
        pending_bytes: what waits to be sent to them.
        behind: those for whom most waits, the most first.

    """

    messages_in: int = 0
    sent: int = 0
    dropped: int = 0
    pending_bytes: int = 0
    behind: list[BaseConnection] = field(default_factory=list)


async def totals_of(connections: AbstractSet[BaseConnection], slices: Slices) -> Totals:
    """
    Add up what the clients count themselves; what the server counts must be read at once after that.

    A client that leaves meanwhile adds its counts to the server's: in the end only those who are still there
    are added up, so that nothing is counted twice, and no total ever falls.
    """
    seen: list[tuple[BaseConnection, int, int, int, int]] = []
    behind = Largest[BaseConnection](MOST_CLIENTS)

    def look(client: BaseConnection) -> None:
        if client in connections:
            pending = client.pending_bytes
            seen.append((client, client.messages_in, client.sent, client.dropped, pending))
            if pending:
                behind.add(pending, client)

    await slices.each(connections, look)
    totals = Totals()
    for client, messages_in, sent, dropped, pending_bytes in seen:
        if client in connections:
            totals.messages_in += messages_in
            totals.sent += sent
            totals.dropped += dropped
            totals.pending_bytes += pending_bytes
    totals.behind = [client for client in behind.in_order() if client in connections]
    return totals
