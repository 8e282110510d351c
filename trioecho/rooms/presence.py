"""
Presence: who is in a room, told to those in it who asked to know.

It is state, not log: nothing of it is remembered, numbered or sent again. Who begins to watch is told who is
there, and then who came and who left, gathered for a tenth of a second; whoever came and left meanwhile was
never there. A watcher that does not keep up is told nothing, and all of it once it has caught up: presence
never waits in anybody's queue behind messages, and never holds up a room.

What it costs is bounded in three ways, whatever 10,000 clients do that come and go. Beyond so many names only
numbers are told. What is told is encoded once for all. And telling takes a small share of the server's time
at most: the longer it took, the longer is gathered for the next.

Members are known by ids that are unique over all processes. Where a room is spread over several servers,
:mod:`~trioecho.rooms.elsewhere` says who is in it on the others: they are told and counted like one's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import Any, Protocol

import trio

from trioecho.log import logger
from trioecho.rooms.elsewhere import NOBODY, Elsewhere, Named, SharedPresence
from trioecho.rooms.fan_out import STRIDE_BYTES, STRIDE_CLIENTS, offer_to_all
from trioecho.rooms.news import News
from trioecho.rooms.outbox import Outbox

__all__ = ["ENOUGH_NAMES", "GATHER", "MOST_NAMES", "Presence", "present"]

GATHER = 0.1
"""How long changes are gathered before they are told (seconds)."""

SHARE = 20
"""What took a millisecond to tell is followed by at least 20 of silence."""

LATER = 1.0
"""When those who were behind are looked at again (seconds)."""

MOST_NAMES = 1000
"""So many names are listed; of more, only how many there are."""

ENOUGH_NAMES = 900
"""Once they were too many, they are listed again when they are no more than this: not at every coming and
going around the bound."""


class Place(Protocol):
    """The room, as presence sees it."""

    name: str
    members: dict[Any, Outbox]
    named: dict[Any, None]
    shared_presence: SharedPresence | None
    presence: Presence | None


def present(room: Place | None, elsewhere: Elsewhere = NOBODY) -> dict[str, Any]:
    """Return who is in a room: how many have a name, how many have none, and the names if they are few."""
    return {**_numbers(room, elsewhere), "here": _listed(room, elsewhere, MOST_NAMES)}


class Presence:
    """
    Tells those who watch a room who is in it. Its task is :meth:`run`.

    There is one as long as there are watchers: a room in which nobody asks pays nothing.
    """

    __slots__ = (
        "_came",
        "_changed",
        "_elsewhere",
        "_left",
        "_lists",
        "_room",
        "_scope",
        "_told",
        "_took",
        "_watchers",
    )

    def __init__(self, room: Place) -> None:
        self._room = room
        # Whether each knows all but what has changed since the last time.
        self._watchers: dict[Outbox, bool] = {}
        # What has changed since then: who came, and the ids of who left; None: too much to say.
        self._came: dict[Named, None] = {}
        self._left: dict[str, None] | None = {}
        self._took = 0.0
        self._changed = trio.Event()
        self._scope = trio.CancelScope()
        shared = room.shared_presence
        self._elsewhere: Elsewhere = NOBODY if shared is None else shared.watch(self)
        self._lists = _are_few(room, self._elsewhere, MOST_NAMES)
        self._told = _numbers(room, self._elsewhere)

    def watch(self, outbox: Outbox) -> None:
        """Tell the member of this outbox who is there, and then what changes."""
        self._watchers[outbox] = False
        self._changed.set()

    def forget(self, member: Named, outbox: Outbox) -> None:
        """Take notice that a member leaves the room, or does not enter it; without watchers the task ends."""
        if member in self._room.members:
            self.left(member)
        self._watchers.pop(outbox, None)
        if not self._watchers:
            self.close()

    def close(self) -> None:
        """End the task: nobody watches any more."""
        if self._room.shared_presence is not None:
            self._room.shared_presence.unwatch(self)
            self._elsewhere = NOBODY  # what was heard of knows its listener
        if self._room.presence is self:
            self._room.presence = None
        self._scope.cancel()

    def came(self, member: Named) -> None:
        """Take notice that a member is in the room."""
        if self._lists and self._left is not None and member.name is not None:
            self._came[member] = None
            self._bound()
        self._changed.set()

    def left(self, member: Named) -> None:
        """Take notice that a member has left."""
        if self._lists and self._left is not None and member.name is not None:
            if member in self._came:
                del self._came[member]
            else:
                self._left[member.id] = None
            self._bound()
        self._changed.set()

    def recount(self) -> None:
        """Take notice that the numbers have changed."""
        self._changed.set()

    def renew(self) -> None:
        """Take notice that more has changed than was said: everybody is told all there is."""
        self._came, self._left = {}, None
        self._changed.set()

    def _bound(self) -> None:
        """Of more changes than names can be listed, the outcome is told."""
        assert self._left is not None
        if len(self._came) + len(self._left) > MOST_NAMES:
            self._came, self._left = {}, None

    async def run(self) -> None:
        """Tell what changes until :meth:`close`; if that fails, nothing more is told, and all goes on."""
        try:
            with self._scope:
                while True:
                    await self._changed.wait()
                    await trio.sleep(max(GATHER, SHARE * self._took))
                    self._changed = trio.Event()
                    if await self._tell():
                        with trio.move_on_after(LATER):
                            await self._changed.wait()
                        self._changed.set()
        except Exception:
            logger.exception("telling who is in room %r failed; it is told no more", self._room.name)
            self.close()

    async def _tell(self) -> bool:
        """Tell everybody what they do not know yet; return whether some are behind and were not told."""
        began, waited = perf_counter(), 0.0
        change, whole = self._take()
        stride, behind = STRIDE_CLIENTS, False
        if whole is not None:
            stride = max(1, min(stride, STRIDE_BYTES // whole.cost))
        everybody = tuple(self._watchers.items())
        for start in range(0, len(everybody), stride):
            if start:
                paused = perf_counter()
                await trio.lowlevel.checkpoint()
                waited += perf_counter() - paused
            to_change, to_whole = [], []
            for outbox, knows in everybody[start : start + stride]:
                if outbox not in self._watchers:
                    continue  # it left while others were told
                if outbox.pending_bytes or outbox.past is not None:
                    behind = True
                    self._watchers[outbox] = knows and change is None
                elif not knows:
                    self._watchers[outbox] = True
                    to_whole.append(outbox)
                elif change is not None:
                    to_change.append(outbox)
            for news, outboxes in ((change, to_change), (whole, to_whole)):
                if news is not None:
                    _offer(news, outboxes)
        self._took = perf_counter() - began - waited
        return behind

    def _take(self) -> tuple[News | None, News | None]:
        """Return what has changed, if anything has, and all that there is to know, if somebody needs it."""
        room, came, left = self._room, self._came, self._left
        self._came, self._left = {}, {}
        told, self._told = self._told, _numbers(room, self._elsewhere)
        listed, most = self._lists, MOST_NAMES if self._lists else ENOUGH_NAMES
        self._lists = _are_few(room, self._elsewhere, most)
        whole: News | None = None
        if left is None or listed != self._lists or not all(self._watchers.values()):
            whole = self._news({**self._told, "here": _listed(room, self._elsewhere, most)})
        if left is None or listed != self._lists:
            return whole, whole
        # Whoever left and came back was on a server that was taken for dead.
        back = {member: member.id for member in came if member.id in left} if left else {}
        for member, name in back.items():
            del came[member], left[name]
        if not came and not left:
            return None if told == self._told else self._news(self._told), whole
        return self._news({**self._told, "came": _named(came), "left": [*left]}), whole

    def _news(self, value: Mapping[str, Any]) -> News:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return News(body, self._lost)

    def _lost(self, outbox: Outbox) -> None:
        """Take notice that what was told did not arrive, because a dropping policy took it."""
        if outbox in self._watchers:
            self._watchers[outbox] = False
            self._changed.set()


def _offer(news: News, outboxes: Iterable[Outbox]) -> None:
    """Offer it to outboxes in which nothing waits: they take anything."""
    groups: dict[Any, list[Outbox]] = {}
    for outbox in outboxes:
        groups.setdefault(outbox.encoding, []).append(outbox)
    for encoding, group in groups.items():
        offer_to_all(group, news, encoding)


def _numbers(room: Place | None, elsewhere: Elsewhere) -> dict[str, Any]:
    here, named = (0, 0) if room is None else (len(room.members), len(room.named))
    return {"named": named + elsewhere.named, "unnamed": here - named + elsewhere.unnamed}


def _are_few(room: Place | None, elsewhere: Elsewhere, most: int) -> bool:
    """Whether names can be listed: they are known, and no more than so many."""
    here = 0 if room is None else len(room.named)
    return here + elsewhere.named <= most and elsewhere.names is not None


def _listed(room: Place | None, elsewhere: Elsewhere, most: int) -> list[dict[str, str | None]] | None:
    if not _are_few(room, elsewhere, most):
        return None
    assert elsewhere.names is not None
    return _named([*(() if room is None else room.named), *elsewhere.names])


def _named(members: Iterable[Named]) -> list[dict[str, str | None]]:
    return [{"id": member.id, "name": member.name} for member in members]
