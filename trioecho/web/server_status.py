"""
What one server says of itself in its status, worked out when somebody asks, and kept for a moment.

Nothing is counted for it that would not be counted anyway.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import cast

import trio

from trioecho.rooms.place import new_epoch
from trioecho.rooms.registry import Registry
from trioecho.rooms.room import Room
from trioecho.sessions.base_connection import BaseConnection
from trioecho.sessions.session import Session
from trioecho.sessions.state import ServerState
from trioecho.web.kept import Kept, Slices
from trioecho.web.largest import Largest
from trioecho.web.status import MOST_CLIENTS, MOST_ROOMS, ClientStatus, NodeStatus, RoomStatus, Status
from trioecho.web.totals import Totals, totals_of

__all__ = ["ServerStatus"]


class ServerStatus:
    """
    The status of one server. What it costs does not grow with how often it is asked for.

    With ``whole_hub`` the clients of all servers count that share its hub.
    """

    def __init__(self, state: ServerState, *, whole_hub: bool = False) -> None:
        connections = _Connections(state.hub) if whole_hub else state.connections
        # Of an object of its own: what refers to itself would wait for the garbage collector.
        self._kept = Kept(_Survey(state, connections).take)

    async def get(self) -> Status:
        """Return it: as it is now, or of a large server a moment ago."""
        return await self._kept.get()

    async def get_json(self) -> bytes:
        """Return it as JSON."""
        return (await self.get()).to_json()


class _Connections(AbstractSet[BaseConnection]):
    """Those of all servers that share a hub, at any time."""

    def __init__(self, hub: Registry) -> None:
        self._hub = hub

    @property
    def _doors(self) -> list[AbstractSet[BaseConnection]]:
        return cast(list[AbstractSet[BaseConnection]], self._hub.connections)  # no server has any others

    def __contains__(self, connection: object) -> bool:
        return any(connection in door for door in self._doors)

    def __iter__(self) -> Iterator[BaseConnection]:
        return chain.from_iterable(self._doors)

    def __len__(self) -> int:
        return sum(map(len, self._doors))


class _Survey:
    """How one server is asked for what its status says."""

    def __init__(self, state: ServerState, connections: AbstractSet[BaseConnection]) -> None:
        self._state = state
        self._connections = connections
        self._node = new_epoch()
        self._host = socket.gethostname()
        self._began = trio.current_time()

    async def take(self, slices: Slices) -> Status:
        """Work it out, in slices."""
        rooms = await self._largest_rooms(slices)
        connections, behind = self._connections, Largest[BaseConnection](MOST_CLIENTS)
        totals = await totals_of(connections, slices, behind)
        clients = [client for client in behind.in_order() if client in connections]
        return Status(
            names=True,
            missing=0,
            nodes=(self._figures(totals),),
            rooms=tuple(rooms),
            clients=tuple([_behind(client) for client in clients if isinstance(client, Session)]),
        )

    async def _largest_rooms(self, slices: Slices) -> list[RoomStatus]:
        hub, largest = self._state.hub, Largest[Room](MOST_ROOMS)

        def look(name: str) -> None:
            if (room := hub.room(name)) is not None:
                largest.add(room.size, room)

        await slices.each(hub.rooms, look)
        return [
            RoomStatus(room=room.name, subscribers=room.size, messages=room.messages)
            for room in largest.in_order()
        ]

    def _figures(self, totals: Totals) -> NodeStatus:
        state, hub = self._state, self._state.hub
        counters, engine = hub.counters, None if hub.logs is None else hub.logs.figures()
        kinds = totals.kinds
        return NodeStatus(
            node=self._node,
            host=self._host,
            pid=os.getpid(),
            at=trio.current_time() - self._began,
            cpu=time.process_time(),
            stopping=state.stopping or state.draining,
            websocket=kinds["websocket"],
            events=kinds["events"],
            http=kinds["http"],
            rooms=len(hub.rooms),
            connected=counters.connected,
            messages_in=counters.messages_in + totals.messages_in,
            messages_out=counters.messages_out + totals.sent,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
            dropped=counters.messages_dropped + totals.dropped,
            pending_bytes=totals.pending_bytes,
            held_bytes=hub.memory.held,
            engine_up=None if engine is None else engine.is_up,
            engine_round_trip=0.0 if engine is None else engine.round_trip,
            engine_unconfirmed=0 if engine is None else engine.unconfirmed_bytes,
        )


def _behind(client: Session) -> ClientStatus:
    """Return what there is to say of a client that is behind."""
    full_since = client.outbox.full_since
    return ClientStatus(
        address=client.address,
        room=client.member.room,
        kind=client.kind,
        pending_bytes=client.pending_bytes,
        dropped=client.dropped,
        full_for=0.0 if full_since is None else trio.current_time() - full_since,
    )
