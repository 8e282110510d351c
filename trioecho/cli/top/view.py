"""
What ``top`` shows: a screen of what servers do, made anew each second, for any size of the terminal.

All that comes from the network is escaped before it is shown: a room is named by whoever enters it first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from trioecho.cli.top.rates import KEPT_SECONDS, Past, Rates
from trioecho.cli.top.words import amount, bytes_text, plot, seconds_text
from trioecho.protocol.escape import quote
from trioecho.web.status import ClientStatus, NodeStatus, RoomStatus, Status

__all__ = ["View", "summary"]

LONGEST_NAME = 255

HEADING, QUIET, GOOD, BAD, PLOT = "bold", "dim", "green", "bold red", "cyan"

NUMBERS = 26
"""What stands to the left of a plot (columns)."""

FEWEST_ROWS = 3
"""So many rows each list has, if there is as much to show, whatever the others have."""


@dataclass(frozen=True)
class View:
    """
    What is to be shown.

    Attributes:
        where: who is asked.
        status: what was answered last; ``None``: nothing yet.
        past: what was seen so far.
        trouble: why there is no answer now; empty: there is one.
        now: the time of day, as it is written.

    """

    where: str
    status: Status | None
    past: Past
    trouble: str
    now: str

    def render(self, width: int, height: int) -> RenderableType:
        """Return it for a terminal of this size."""
        parts: list[RenderableType] = [self._title(), self._state()]
        if self.status is not None:
            parts += [Text(), self._plots(width), Text(), *_figures(self.status, self.past)]
            rows = height - len(parts) - 3  # the plots have four lines
            parts += self._lists(self.status, rows)
        return Group(*parts)

    def _title(self) -> RenderableType:
        line = Table.grid(Column(no_wrap=True, ratio=1), Column(no_wrap=True, justify="right"), expand=True)
        line.add_row(Text.assemble(("trioecho top", HEADING), f"  {_name(self.where)}"), Text(self.now))
        return line

    def _state(self) -> Text:
        if self.trouble:
            return Text(
                f"No answer: {_name(self.trouble)}; trying again.", BAD, no_wrap=True, overflow="ellipsis"
            )
        if self.status is None:
            return Text("Asking ...", QUIET)
        return summary(self.status)

    def _plots(self, width: int) -> RenderableType:
        each = max(1, math.ceil(KEPT_SECONDS / max(1, width - NUMBERS)))
        lines = Table.grid(
            Column(no_wrap=True, width=12),
            Column(no_wrap=True, width=12, justify="right"),
            Column(no_wrap=True),
            padding=(0, 1, 0, 0),
        )
        for title, name, write in (
            ("messages in", "messages_in", amount),
            ("deliveries", "messages_out", amount),
            ("bytes in", "bytes_in", bytes_text),
            ("bytes out", "bytes_out", bytes_text),
        ):
            values = [getattr(rates, name) for rates in self.past.together]
            drawn = plot(values, max(1, width - NUMBERS), each, self.past.ever)
            lines.add_row(title, f"{write(values[-1])}/s" if values else "...", Text(drawn, PLOT))
        return lines

    def _lists(self, status: Status, rows: int) -> Iterator[RenderableType]:
        """Return tables of what there is, with as many rows together as fit."""
        rates = self.past.nodes
        lists = [
            (SERVERS, [_node(node, rates.get(node.node)) for node in status.nodes[:MOST_NODES]]),
            (ROOMS, [_room(room) for room in status.rooms]),
            (CLIENTS, [_client(client) for client in status.clients]),
        ]
        if len(status.nodes) == 1:
            del lists[0]
        there = [(head, cells) for head, cells in lists if cells]
        # Each has an empty line before it, and a heading.
        shares = _shares([len(cells) for _, cells in there], rows - 2 * len(there))
        for (head, cells), most in zip(there, shares, strict=True):
            if most:
                yield Text()
                yield _table(head, cells, most)


SERVERS = ("Servers", "clients", "rooms", "in/s", "out/s", "CPU", "engine")
ROOMS = ("Largest rooms", "subscribers", "messages")
CLIENTS = ("Slow clients", "room", "waits", "full for", "dropped")

MOST_NODES = 100


def summary(status: Status) -> Text:
    """Say in a line who answers."""
    count = len(status.nodes)
    text = Text("1 server answers" if count == 1 else f"{count} servers answer", GOOD if count else QUIET)
    if status.missing:
        text.append(f", {status.missing} more without an answer", BAD)
    if stopping := sum(node.stopping for node in status.nodes):
        text.append(f", {stopping} shutting down", BAD)
    if not status.names:
        text.append("; rooms and addresses are named on --metrics-address only", QUIET)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _figures(status: Status, past: Past) -> list[RenderableType]:
    """Return lines of how things are."""
    nodes = status.nodes
    websocket, events = sum(node.websocket for node in nodes), sum(node.events for node in nodes)
    rates = past.together[-1] if past.together else None
    first = [
        ("clients", f"{amount(websocket + events)} ({amount(events)} by events)"),
        *([("rooms", amount(nodes[0].rooms))] if len(nodes) == 1 else []),
        ("CPU", "..." if rates is None else f"{rates.cpu:.0%}"),
    ]
    second = [
        ("waits", bytes_text(sum(node.pending_bytes for node in nodes))),
        ("held", bytes_text(sum(node.held_bytes for node in nodes))),
        ("dropped", "..." if rates is None else f"{amount(rates.dropped)}/s"),
    ]
    lines = [_line(first), _line(second)]
    engines = [node for node in nodes if node.engine_up is not None]
    if engines:
        away = sum(not node.engine_up for node in engines)
        unconfirmed = bytes_text(sum(node.engine_unconfirmed for node in engines))
        slowest = max(node.engine_round_trip for node in engines)
        line = _line(
            [
                ("engine", f"away for {away}" if away else "up"),
                *([("round trip", seconds_text(slowest))] if slowest else []),  # it was not silent yet
                ("not confirmed", unconfirmed),
            ]
        )
        lines.append(line)
    return list(lines)


def _line(figures: Sequence[tuple[str, str]]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for number, (title, value) in enumerate(figures):
        line.append(("  " if number else "") + f"{title} ", QUIET).append(value)
    return line


def _table(head: Sequence[str], cells: Sequence[Sequence[str]], most: int) -> Table:
    title = head[0] + (f" ({most} of {len(cells)})" if most < len(cells) else "")
    texts = {"room", "engine"}
    table = Table(
        Column(title, no_wrap=True, overflow="ellipsis", ratio=3),
        *(
            Column(
                name,
                no_wrap=True,
                overflow="ellipsis",
                justify="left" if name in texts else "right",
                ratio=2 if name == "room" else None,
            )
            for name in head[1:]
        ),
        box=None,
        expand=True,
        padding=(0, 1, 0, 0),
        header_style=HEADING,
    )
    for row in cells[:most]:
        table.add_row(*map(Text, row))
    return table


def _node(node: NodeStatus, rates: Rates | None) -> list[str]:
    name = _name(node.node) if node.host is None else f"{_name(node.host)} {node.pid}"
    known = ["", "", ""]
    if rates is not None:
        known = [amount(rates.messages_in), amount(rates.messages_out), f"{rates.cpu:.0%}"]
    engine = ""
    if node.engine_up is not None:
        engine = seconds_text(node.engine_round_trip) if node.engine_round_trip else "up"
    return [
        name + (" (stopping)" if node.stopping else ""),
        amount(node.websocket + node.events),
        amount(node.rooms),
        *known,
        "away" if node.engine_up is False else engine,
    ]


def _room(room: RoomStatus) -> list[str]:
    return [
        "(not named)" if room.room is None else _name(room.room),
        amount(room.subscribers),
        amount(room.messages),
    ]


def _client(client: ClientStatus) -> list[str]:
    return [
        "(not named)" if client.address is None else _name(client.address),
        "" if client.room is None else _name(client.room),
        bytes_text(client.pending_bytes),
        seconds_text(client.full_for) if client.full_for else "",
        amount(client.dropped),
    ]


def _name(text: str) -> str:
    """Return what the network named, so that nothing in it moves the terminal."""
    return quote(text, LONGEST_NAME)


def _shares(wanted: Sequence[int], rows: int) -> list[int]:
    """Share rows out: each gets what it wants, as far as the others leave it; none less than a few."""
    shares = [min(want, FEWEST_ROWS) for want in wanted]
    left = rows - sum(shares)
    for number, want in enumerate(wanted):
        more = max(0, min(want - shares[number], left // (len(wanted) - number)))
        shares[number] += more
        left -= more
    for number in reversed(range(len(wanted))):  # a low terminal shows the first lists only
        less = min(shares[number], max(0, -left))
        shares[number] -= less
        left += less
    return shares
