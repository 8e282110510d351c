"""
Who is in one room on the other nodes: what they have said of it. Plain functions: nothing here waits.

It is heard in two ways, as a room's messages are. A push says what has changed, and is taken if it changes
what was heard last of that node; otherwise the room is read, which has all of it. Of names that are too many
to be listed only the number is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from trioecho.rooms.elsewhere import Listener, Remote
from trioecho.rooms.presence import ENOUGH_NAMES, MOST_NAMES

__all__ = ["Elsewhere", "Heard", "Said", "parse_names", "parse_push", "parse_said"]


class Said(NamedTuple):
    """How a node's members in a room are counted, and by which of its changes; whether it lists the names."""

    number: int
    named: int
    unnamed: int
    listed: bool


class Heard(NamedTuple):
    """A change: which node, what it changes (``None``: all), what it said then, who came and who left."""

    node: bytes
    before: int | None
    said: Said
    came: Mapping[str, Remote]
    left: Sequence[str]


class There:
    """What a node has said last, and its names, if they are known; ``number`` is 0 for nothing."""

    __slots__ = ("names", "said")

    def __init__(self) -> None:
        self.said = Said(0, 0, 0, True)
        self.names: dict[str, Remote] | None = {}


class Elsewhere:
    """
    Who is in one room on other nodes; ``listener`` is told what changes.

    Attributes:
        named, unnamed: how many there are, with a name and without.
        nodes: the nodes on which somebody is, and what they said.

    """

    __slots__ = ("_listener", "named", "nodes", "unnamed")

    def __init__(self, listener: Listener | None = None) -> None:
        self.named = self.unnamed = 0
        self.nodes: dict[bytes, There] = {}
        self._listener = listener

    @property
    def names(self) -> Iterator[Remote] | None:
        """Those with a name, if all are known."""
        if any(there.names is None for there in self.nodes.values()):
            return None
        return (member for there in self.nodes.values() for member in (there.names or {}).values())

    @property
    def lacks_names(self) -> bool:
        """Whether names are not known that are few enough to be listed by now."""
        few = self.named <= ENOUGH_NAMES
        return few and any(there.names is None and there.said.listed for there in self.nodes.values())

    def pushed(self, heard: Heard) -> bool:
        """Take a change, and return whether the room has to be read: something before it is missing."""
        there = self.nodes.get(heard.node)
        at = 0 if there is None else there.said.number
        if heard.said.number <= at:
            return False
        if heard.before is None:
            self._replace(heard.node, heard.said, heard.came if heard.said.listed else None)
        elif heard.before != at:
            return True
        else:
            self._change(heard)
        self._forget_names()
        return self.lacks_names

    def read(self, found: Iterable[tuple[bytes, Said, Mapping[str, Remote] | None]], keep: bool) -> None:
        """
        Take what was read: all nodes with somebody in the room.

        With ``keep`` the others may still come, because the engine has forgotten what they had said.
        """
        there = set()
        for node, said, names in found:
            there.add(node)
            self._replace(node, said, names if said.listed else None)
        if not keep:
            for node in self.nodes.keys() - there:
                self.drop(node)
        self._forget_names()

    def drop(self, node: bytes) -> Said | None:
        """Leave a node out, and return what it said, if it said anything."""
        there = self.nodes.get(node)
        if there is None:
            return None
        said = there.said
        self._replace(node, Said(said.number, 0, 0, True), {})
        return said

    def _change(self, heard: Heard) -> None:
        there = self.nodes.setdefault(heard.node, There())
        self._count(there, heard.said)
        if not heard.said.listed:
            self._lose_names(there)
        elif there.names is not None:
            for member in heard.left:
                if (gone := there.names.pop(member, None)) is not None and self._listener is not None:
                    self._listener.left(gone)
            there.names.update(heard.came)
            if self._listener is not None:
                for one in heard.came.values():
                    self._listener.came(one)
        self._tidy(heard.node, there)

    def _replace(self, node: bytes, said: Said, names: Mapping[str, Remote] | None) -> None:
        there = self.nodes.setdefault(node, There())
        self._count(there, said)
        old = there.names
        if names is None:
            self._lose_names(there)
        else:
            there.names = dict(names)
            if self._listener is not None:
                if old is None:
                    self._listener.renew()
                else:
                    for gone in old.keys() - names.keys():
                        self._listener.left(old[gone])
                    for new in names.keys() - old.keys():
                        self._listener.came(names[new])
        self._tidy(node, there)

    def _count(self, there: There, said: Said) -> None:
        self.named += said.named - there.said.named
        self.unnamed += said.unnamed - there.said.unnamed
        there.said = said
        if self._listener is not None:
            self._listener.recount()

    def _lose_names(self, there: There) -> None:
        if there.names is not None:
            there.names = None
            if self._listener is not None:
                self._listener.renew()

    def _forget_names(self) -> None:
        """Of so many names only the number is told, so they need not be known."""
        if self.named > MOST_NAMES:
            for there in self.nodes.values():
                if there.said.named:
                    self._lose_names(there)

    def _tidy(self, node: bytes, there: There) -> None:
        if not there.said.named and there.names is None:  # nobody's names are known
            there.names = {}
            if self._listener is not None:
                self._listener.renew()
        if not there.said.named and not there.said.unnamed:
            del self.nodes[node]


def parse_said(text: bytes) -> Said:
    """
    Return what a node said of a room.

    Raises:
        ValueError: it is none of ours.

    """
    number, named, unnamed, listed = map(int, text.split(b" "))
    return Said(number, named, unnamed, bool(listed))


def parse_push(message: bytes) -> Heard:
    """
    Return what was pushed.

    Raises:
        ValueError: it is none of ours.

    """
    head, _, body = message.partition(b"\n")
    node, before, said = head.split(b" ", 2)
    came, left = {}, []
    for line in body.decode().split("\n")[:-1]:
        member, _, name = line[1:].partition(" ")
        if line.startswith("+"):
            came[member] = Remote(member, name)
        elif line.startswith("-"):
            left.append(member)
        else:
            raise ValueError(line)
    return Heard(node, None if before == b"*" else int(before), parse_said(said), came, left)


def parse_names(flat: Sequence[bytes]) -> dict[str, Remote]:
    """Return the members that a hash of names holds."""
    texts = [each.decode() for each in flat]
    return {member: Remote(member, name) for member, name in zip(texts[::2], texts[1::2], strict=True)}
