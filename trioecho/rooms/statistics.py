"""What a hub has counted, as one value that does not change any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from trioecho.rooms.registry import Registry

__all__ = ["HubStatistics", "statistics_of"]


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """
    What a hub has counted since it began, those who are there now included.

    Hubs that share rooms through an engine count each for itself.

    Attributes:
        rooms: how many subscribers are in each room.
        clients: how many of all these are clients, and not the application's subscriptions.
        connected: clients that ever came in.
        disconnected: clients that are gone, by the name of the reason.
        messages_in: messages taken from clients.
        messages_out: messages handed to the network or to a subscription, one for each who got it.
        messages_dropped: messages that a dropping policy took, likewise.
        messages_unsent: messages that were pending when their client left, likewise.
        bytes_in, bytes_out: bytes of messages from clients and for all who were to get them, as frames.
        pending_bytes: what waits now, for each who is behind.
        held_bytes: what it costs to hold that, what several wait for counted once.
        history_bytes: what it costs to hold what the rooms remember.
        draining: whether no more is taken.

    """

    rooms: Mapping[str, int]
    clients: int
    connected: int
    disconnected: Mapping[str, int]
    messages_in: int
    messages_out: int
    messages_dropped: int
    messages_unsent: int
    bytes_in: int
    bytes_out: int
    pending_bytes: int
    held_bytes: int
    history_bytes: int
    draining: bool


def statistics_of(registry: Registry) -> HubStatistics:
    """Add up what a registry and everybody in its rooms have counted."""
    counters = registry.counters
    everybody = registry.occupants
    return HubStatistics(
        rooms=MappingProxyType(registry.rooms),
        clients=sum([occupant.kind != "application" for occupant in everybody]),
        connected=counters.connected,
        disconnected=MappingProxyType(dict(counters.disconnected)),
        messages_in=counters.messages_in + sum([occupant.messages_in for occupant in everybody]),
        messages_out=counters.messages_out + sum([occupant.outbox.sent for occupant in everybody]),
        messages_dropped=counters.messages_dropped + sum([each.outbox.dropped for each in everybody]),
        messages_unsent=counters.messages_unsent,
        bytes_in=counters.bytes_in,
        bytes_out=counters.bytes_out,
        pending_bytes=sum([occupant.outbox.pending_bytes for occupant in everybody]),
        held_bytes=registry.memory.held,
        history_bytes=registry.histories.cost,
        draining=registry.draining,
    )
