"""
One room's presence: who is in it here, which the others have to know, and who is there, for those who watch.

Changes are gathered until they are written. Of more names than can be listed only the number is written, so
neither 10,000 who come and go nor a node that dies with them make much work for anybody.
"""

from __future__ import annotations

from typing import Protocol

from trioecho.engine.elsewhere import Elsewhere, Said
from trioecho.engine.presence_scripts import presence_keys
from trioecho.rooms.elsewhere import Listener, Named
from trioecho.rooms.presence import ENOUGH_NAMES, MOST_NAMES

__all__ = ["KEPT_SECONDS", "Keeper", "RoomPresence"]

KEPT_SECONDS = 600
"""How long the engine keeps what a node has said if the node does not say so again (seconds): what a dead
node leaves behind where nobody looks."""


class Keeper(Protocol):
    """What a room asks of whoever writes and reads for all rooms."""

    node: bytes

    def changed(self, room: RoomPresence) -> None:
        """Write what has changed, a little later."""

    def closed(self, room: RoomPresence) -> None:
        """Forget it, if nothing more is to be known of it."""

    def begin_watching(self, room: RoomPresence) -> None:
        """Have pushed what changes elsewhere, and read who is there."""

    def end_watching(self, room: RoomPresence) -> None:
        """Have no more of it pushed."""


class RoomPresence:
    """
    The presence of the room of this name.

    Attributes:
        key: the name of its hash and channel.
        names_key: the name of the hash of the names that are here.
        users: how many have it open.
        written_at: when something was written last (trio time).
        elsewhere: who is on other nodes, while somebody watches.
        is_level: whether all of that is known.

    """

    __slots__ = (
        "_came",
        "_confirmed",
        "_keeper",
        "_left",
        "_listener",
        "_lists",
        "_named",
        "_number",
        "_said",
        "_sent",
        "_unnamed",
        "_whole",
        "elsewhere",
        "is_level",
        "key",
        "name",
        "names_key",
        "users",
        "written_at",
    )

    def __init__(self, name: str, prefix: str, keeper: Keeper) -> None:
        self.name = name
        self.key, self.names_key = presence_keys(prefix, name, keeper.node)
        self.users = 0
        self.written_at = 0.0
        self.elsewhere = Elsewhere()
        self.is_level = False
        self._keeper = keeper
        self._listener: Listener | None = None
        # Who is here: those with a name, whose ids are not known when they come, and how many have none.
        self._named: dict[Named, None] = {}
        self._unnamed = 0
        # What has changed since it was written: who came, and who left; or all is to be written.
        self._came: dict[Named, None] = {}
        self._left: dict[str, None] = {}
        self._whole = False
        self._lists = True
        # How many, and whether their names were listed, when it was written.
        self._said = (0, 0, True)
        # Of which number what the engine has from here should be (0: it has nothing), and of which it was
        # written last and said to be there.
        self._number = self._sent = self._confirmed = 0

    # What the room asks of it.

    def close(self) -> None:
        """Let it go; whoever is still in the room may leave later."""
        self.users -= 1
        self._keeper.closed(self)

    def came(self, member: Named) -> None:
        """Let the others know that a member is in the room here."""
        if member.name is None:
            self._unnamed += 1
        else:
            self._named[member] = self._came[member] = None
            self._bound()
        self._keeper.changed(self)

    def left(self, member: Named) -> None:
        """Let them know that it has left."""
        if member.name is None:
            self._unnamed -= 1
        else:
            self._named.pop(member, None)
            if member in self._came:
                del self._came[member]
            else:
                self._left[member.id] = None
            self._bound()
        self._keeper.changed(self)

    def watch(self, listener: Listener) -> Elsewhere:
        """Tell a listener what changes elsewhere, and return what is known of it."""
        if self._listener is not None:
            self.unwatch(self._listener)
        self._listener = listener
        self.elsewhere, self.is_level = Elsewhere(listener), False
        self._keeper.begin_watching(self)
        return self.elsewhere

    def unwatch(self, listener: Listener) -> None:
        """Tell it no more; harmless if it was not told."""
        if self._listener is listener:
            self._listener = None
            self.elsewhere, self.is_level = Elsewhere(), False
            self._keeper.end_watching(self)

    @property
    def is_watched(self) -> bool:
        """Whether somebody wants to know who is elsewhere."""
        return self._listener is not None

    # What is written.

    @property
    def is_over(self) -> bool:
        """Whether nothing is to be known of it: nobody has it open or is here, and the engine knows that."""
        nobody = not self.users and not self._named and not self._unnamed and not self.is_watched
        return nobody and self.is_removed

    @property
    def is_unwritten(self) -> bool:
        """Whether the engine should have nothing of it from here, once it has carried out what was sent."""
        return not self._number

    @property
    def is_removed(self) -> bool:
        """Whether the engine should have nothing of it from here, and has said so."""
        return not self._number and self._confirmed == self._sent

    def doubt(self) -> None:
        """Let what was not confirmed be written again: the connection was lost, or the engine forgot all."""
        if self._confirmed != self._sent:
            self._whole = True

    def rewrite(self) -> None:
        """Write all of it, if there is or was anything."""
        if self._named or self._unnamed or self._number:
            self._whole = True

    def change(self, number: int) -> list[bytes] | None:
        """
        Return what is to be written, as ``number``: the words for its script, from ``before`` on.

        If nothing has changed, they only see whether the engine still has what was written, and keep it from
        expiring. ``None``: nobody is here, and nobody was.
        """
        named, unnamed = len(self._named), self._unnamed
        lists = named <= (MOST_NAMES if self._lists else ENOUGH_NAMES)
        whole = self._whole or lists > self._lists
        came, left = (self._named, {}) if whole else (self._came, self._left)
        self._came, self._left, self._whole, self._lists = {}, {}, False, lists
        if not named and not unnamed and not self._number and not whole:
            return None
        said = Said(number, named, unnamed, lists)
        if not whole and (said[1:], bool(came), bool(left)) == (self._said, False, False):
            number = self._number
        before = b"*" if whole else b"%d" % self._number
        body = ""
        if lists:
            lines = [f"-{member}\n" for member in left]
            lines += [f"+{member.id} {member.name}\n" for member in came]
            body = "".join(lines)
        self._sent, self._number = number, number if named or unnamed else 0
        self._said = said[1:]
        return [
            before,
            b"%d" % number,
            b"%d" % named,
            b"%d" % unnamed,
            b"%d" % lists,
            b"%d" % KEPT_SECONDS,
            body.encode(),
        ]

    def written(self, number: int, *, done: bool) -> None:
        """Take notice that the engine has answered ``number``: whether it had what was changed by it."""
        if number == self._sent and done:
            self._confirmed = number
        elif number == self._sent:
            self._whole = True
            self._keeper.changed(self)

    @property
    def sent(self) -> int:
        """The number that was written last."""
        return self._sent

    def _bound(self) -> None:
        """Of so many changes, only the outcome is written."""
        if len(self._came) + len(self._left) > MOST_NAMES:
            self._came, self._left, self._whole = {}, {}, True
