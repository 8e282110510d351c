"""
The status of one server or several, as a value: what ``/status`` says as JSON, and who reads it takes.

It has counts that only rise and how things are now, no rates: who asks twice divides what has changed by the
time between, and so several may ask, each as often as they like. Each server has a clock of its own for that
(``at``), because a large one says the same for a moment.

The lists are bounded, so that a status is as long for a million clients as for a hundred.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar, get_type_hints

__all__ = [
    "MOST_CLIENTS",
    "MOST_NODES",
    "MOST_ROOMS",
    "ClientStatus",
    "NodeStatus",
    "RoomStatus",
    "Status",
    "StatusError",
    "parse_status",
    "together",
]

MOST_ROOMS = MOST_CLIENTS = 20
"""So many rooms and slow clients are named: what fits on a screen."""

MOST_NODES = 1_000
"""More servers than any engine carries."""

LARGEST = 2**63
"""More than anybody counts."""


class StatusError(Exception):
    """What was read is no status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """
    One server.

    Attributes:
        node: a name that no other server has.
        host, pid: its machine and its process, where names are told.
        at: its clock (seconds).
        cpu: processor time that its process has used (seconds).
        stopping: whether it is shutting down.
        websocket, events, http: connections, by what they are.
        rooms: rooms that are open.
        connected: clients that ever came in.
        messages_in, bytes_in: messages taken from clients, and their bytes as frames.
        messages_out: messages handed to the network, one for each client that got it.
        bytes_out: bytes for all who were to get them.
        dropped: messages that a dropping policy took, one for each client.
        pending_bytes: what waits for slow clients, for each of them.
        held_bytes: what it costs to hold what is held for all clients.
        engine_up: whether the engine takes messages; ``None`` if there is none.
        engine_round_trip: how long it took to answer the last ping (seconds).
        engine_unconfirmed: bytes that it has not confirmed yet.

    """

    node: str
    host: str | None
    pid: int | None
    at: float
    cpu: float
    stopping: bool
    websocket: int
    events: int
    http: int
    rooms: int
    connected: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    dropped: int
    pending_bytes: int
    held_bytes: int
    engine_up: bool | None
    engine_round_trip: float
    engine_unconfirmed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStatus:
    """A room: its name, where names are told, who is in it, and the messages since somebody is."""

    room: str | None
    subscribers: int
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """A client that is behind: ``full_for`` seconds at the bound, or not at all (0)."""

    address: str | None
    room: str | None
    kind: str
    pending_bytes: int
    dropped: int
    full_for: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """
    One server or several.

    Attributes:
        names: whether rooms, addresses and machines are named.
        missing: servers that are there and did not answer.
        nodes: the servers.
        rooms: the largest rooms, the largest first.
        clients: those who are most behind, likewise.

    """

    names: bool
    missing: int
    nodes: tuple[NodeStatus, ...]
    rooms: tuple[RoomStatus, ...]
    clients: tuple[ClientStatus, ...]

    def to_json(self) -> bytes:
        """Return it as JSON."""
        text = json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))
        return text.encode(errors="replace") + b"\n"

    def without_names(self) -> Status:
        """Return it as strangers may see it: rooms may have secret names, and clients have addresses."""
        return replace(
            self,
            names=False,
            nodes=tuple([replace(node, host=None, pid=None) for node in self.nodes]),
            rooms=tuple([replace(room, room=None) for room in self.rooms]),
            clients=tuple([replace(client, address=None, room=None) for client in self.clients]),
        )


def together(statuses: Iterable[Status], *, missing: int = 0) -> Status:
    """
    Return several statuses as one, and that ``missing`` more servers did not answer.

    A room that servers share has the subscribers of all of them. One that is not among a server's largest
    counts there as empty.
    """
    statuses = list(statuses)
    rooms: dict[object, RoomStatus] = {}
    for room in [room for status in statuses for room in status.rooms]:
        key = object() if room.room is None else room.room
        there = rooms.get(key, room)
        rooms[key] = RoomStatus(
            room=room.room,
            subscribers=room.subscribers + (0 if there is room else there.subscribers),
            # What is said in a shared room has passed through it on each of them.
            messages=max(there.messages, room.messages),
        )
    clients = [client for status in statuses for client in status.clients]
    return Status(
        names=all(status.names for status in statuses),
        missing=missing + sum(status.missing for status in statuses),
        nodes=tuple([node for status in statuses for node in status.nodes]),
        rooms=tuple(sorted(rooms.values(), key=lambda room: -room.subscribers)[:MOST_ROOMS]),
        clients=tuple(sorted(clients, key=lambda client: -client.pending_bytes)[:MOST_CLIENTS]),
    )


def parse_status(text: bytes) -> Status:
    """
    Return the status that ``to_json()`` has made, perhaps of another version.

    What is missing in a server is 0 or nothing, and what is unknown is left out.

    Raises:
        StatusError: it is none.

    """
    try:
        value = json.loads(text)
        return Status(
            names=_checked(value["names"], bool),
            missing=_checked(value["missing"], int),
            nodes=_many(value["nodes"], NodeStatus, MOST_NODES),
            rooms=_many(value["rooms"], RoomStatus, MOST_ROOMS),
            clients=_many(value["clients"], ClientStatus, MOST_CLIENTS),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise StatusError("it is no status of trioecho's") from None


Part = TypeVar("Part", NodeStatus, RoomStatus, ClientStatus)

NOTHING: dict[Any, Any] = {int: 0, float: 0.0, bool: False, str: ""}


def _many(values: Any, kind: Callable[..., Part], most: int) -> tuple[Part, ...]:
    hints = get_type_hints(kind)
    return tuple(
        [
            kind(**{name: _checked(value.get(name, NOTHING.get(hint)), hint) for name, hint in hints.items()})
            for value in _checked(values, list)[:most]
            if _checked(value, dict) is value
        ]
    )


def _checked(value: Any, kind: Any) -> Any:
    """Return a value if it is of its kind, and a number that can be reckoned with."""
    fits = type(value) in (int, float) if kind is float else isinstance(value, kind)
    if not fits or (kind is int and isinstance(value, bool)):
        raise TypeError
    if isinstance(value, (int, float)) and not -LARGEST < value < LARGEST:
        raise ValueError
    return value
