"""What a node writes of one room: as little as there is to say, and all of it when the engine may lack it."""

from __future__ import annotations

from itertools import count

from trioecho.engine.room_presence import RoomPresence
from trioecho.rooms.elsewhere import Remote
from trioecho.rooms.presence import ENOUGH_NAMES, MOST_NAMES


class Keeper:
    """Writes when a test wants it to."""

    node = b"node"

    def __init__(self) -> None:
        self.room = RoomPresence("/", "te1", self)
        self.numbers = count(1)

    def changed(self, room: RoomPresence) -> None:
        pass

    closed = begin_watching = end_watching = changed

    def write(self, *, done: bool | None = True) -> tuple[str, str, str] | None:
        """Return what is written: numbers, how many, who came and left. ``done``: the engine's answer."""
        words = self.room.change(next(self.numbers))
        if words is None:
            return None
        if done is not None:
            self.room.written(self.room.sent, done=done)
        before, number, named, unnamed, listed, _, body = [word.decode() for word in words]
        return f"{before} {number}", f"{named} {unnamed} {listed}", body


ADA, BO, NOBODY = Remote("1a", "ada"), Remote("2b", "bo"), Remote("", None)  # type: ignore[arg-type]


def test_what_changes_is_written_and_whoever_came_and_left_was_never_there() -> None:
    keeper = Keeper()
    room = keeper.room
    assert keeper.write() is None and room.is_over
    for member in (ADA, BO, NOBODY):
        room.came(member)
    room.left(BO)
    assert keeper.write() == ("0 2", "1 1 1", "+1a ada\n")
    assert keeper.write() == ("2 2", "1 1 1", ""), "it is seen whether the engine still has it"
    room.came(BO)
    room.left(ADA)
    assert keeper.write() == ("2 4", "1 1 1", "-1a\n+2b bo\n")
    room.left(NOBODY)
    room.left(BO)
    assert not room.is_over
    assert keeper.write() == ("4 5", "0 0 1", "-2b\n")
    assert room.is_over and keeper.write() is None
    room.came(ADA)
    assert keeper.write() == ("0 7", "1 0 1", "+1a ada\n")


def test_all_of_it_is_written_when_the_engine_has_something_else_or_may_have() -> None:
    keeper = Keeper()
    room = keeper.room
    room.came(ADA)
    keeper.write()
    room.came(BO)
    assert keeper.write(done=False) == ("1 2", "2 0 1", "+2b bo\n")
    assert keeper.write() == ("* 3", "2 0 1", "+1a ada\n+2b bo\n")
    room.doubt()
    assert keeper.write() == ("3 3", "2 0 1", ""), "what was confirmed is only checked"
    room.rewrite()
    assert keeper.write() == ("* 5", "2 0 1", "+1a ada\n+2b bo\n")
    # That nobody is here any more may be what was lost.
    room.left(ADA)
    room.left(BO)
    assert keeper.write(done=None) == ("5 6", "0 0 1", "-1a\n-2b\n")
    assert not room.is_over
    room.doubt()
    room.rewrite()
    assert keeper.write(done=False) == ("* 7", "0 0 1", "")
    assert not room.is_over
    assert keeper.write() == ("* 8", "0 0 1", "")
    assert room.is_over


def test_of_too_many_names_only_the_number_is_written() -> None:
    keeper = Keeper()
    room = keeper.room
    members = [Remote(f"{number}x", "n") for number in range(MOST_NAMES + 2)]
    for member in members[:MOST_NAMES]:
        room.came(member)
    written = keeper.write()
    assert written is not None and written[2].count("+") == MOST_NAMES
    for member in members[MOST_NAMES:]:
        room.came(member)
    assert keeper.write() == ("1 2", f"{MOST_NAMES + 2} 0 0", "")
    for member in members[ENOUGH_NAMES + 1 :]:
        room.left(member)
    assert keeper.write() == ("2 3", f"{ENOUGH_NAMES + 1} 0 0", "")
    room.left(members[0])
    written = keeper.write()
    assert written is not None and written[:2] == ("* 4", f"{ENOUGH_NAMES} 0 1")
    assert written[2].count("+") == ENOUGH_NAMES
    # However many change at a time, no more is written than what is left of them.
    for member in members[1 : ENOUGH_NAMES + 1]:
        room.left(member)
        room.came(member)
    room.left(members[1])
    written = keeper.write()
    assert written is not None and written[0] == "* 5"
    assert written[2].count("+") == ENOUGH_NAMES - 1 and "-" not in written[2]
